// The gradients of global_attention and folded_global_attention, recomputed from their inputs.
#include <algorithm>

#include "backward.h"
#include "cpu/linear_backward.h"
#include "global_attention.h"

namespace longformer {
namespace {

// Probabilities of some rows of a run, before and after dropout.
struct Probabilities {
  Tensor plain, factors, dropped;  // factors undefined: nothing is dropped
};
Probabilities probabilities_of(const GlobalAttention& a, const Run& run, const Tensor& scores, int64_t row) {
  Probabilities p;
  p.plain = visible_softmax(a.visible, run, scores);
  p.factors = dropout_factors(a, run, scores, row);
  p.dropped = p.factors.defined() ? p.plain * p.factors : p.plain;
  return p;
}

// The gradient of the scores from that of the dropped probabilities.
Tensor grad_of_scores(const Probabilities& p, const Tensor& grad_dropped) {
  const Tensor grad = p.factors.defined() ? grad_dropped * p.factors : grad_dropped;
  return p.plain * (grad - (grad * p.plain).sum(-1, true));
}

// Of a run and its rows row .. row+rows: [count, H, rows, D] in the compute type, zeros in the empty rows.
Tensor grad_of_rows(const GlobalAttention& a, const Tensor& grad_output, const Run& run, int64_t row,
                    int64_t rows) {
  const Tensor grad =
      grad_output.narrow(0, run.first, run.count).narrow(1, row, rows).to(compute_type(grad_output));
  const Tensor empty = empty_rows(a, run).narrow(1, row, rows).unsqueeze(-1).unsqueeze(-1);
  return grad.masked_fill(empty, 0.0).transpose(1, 2);
}

template <class Work>
void for_each_part(const GlobalAttention& a, const Work& work) {
  const int64_t globals = a.query.size(1), heads = a.query.size(2);
  for (const Run& run : runs_of_equal_length(a.offsets)) {
    if (run.length == 0) continue;
    for (int64_t row = 0, rows; row < globals; row += rows) {
      rows = std::min(rows_at_once(run, heads), globals - row);
      work(run, row, rows);
    }
  }
}

// Adds [count, length, ...] to the tokens of a run.
void add_to_tokens(const Tensor& all, const Run& run, const Tensor& part) {
  const Tensor to = all.narrow(0, run.begin, run.count * run.length);
  to.add_(part.reshape(to.sizes()));
}

// Adds a [count, rows, length] transposed, times b [count, rows, C], to the tokens [N, C] of a run.
void add_product_to_tokens(const Tensor& all, const Run& run, const Tensor& a, const Tensor& b) {
  if (!cpu::multiplies(a.select(0, 0).t(), b.select(0, 0).t()))
    return add_to_tokens(all, run, matmul(a.transpose(1, 2), b));
  for (int64_t i = 0; i < run.count; i++)
    cpu::add_matrix_product(a.select(0, i).t(), b.select(0, i).t(),
                            all.narrow(0, run.begin + i * run.length, run.length));
}

struct AttentionGradients {
  Tensor query, key, value;  // in the compute type: [S, G, H, D], [N, H, D], [N, H, D]
};

AttentionGradients projected_backward(const GlobalAttention& a, const Tensor& grad_output) {
  const ScalarType type = compute_type(a.query);
  const Tensor query = a.query.to(type);
  AttentionGradients grads = {zeros(query.sizes(), query.options()), zeros(a.key.sizes(), query.options()),
                              zeros(a.value.sizes(), query.options())};
  if (a.query.numel() == 0) return grads;
  for_each_part(a, [&](const Run& run, int64_t row, int64_t rows) {
    const Tensor key = visible_tokens_of(a.visible, a.key, run).transpose(1, 2),  // [count, H, length, D]
        value = visible_tokens_of(a.visible, a.value, run).transpose(1, 2);
    const Tensor scores = projected_scores(a, query, key.transpose(1, 2), run, row, rows);
    const Probabilities p = probabilities_of(a, run, scores, row);
    const Tensor grad = grad_of_rows(a, grad_output, run, row, rows);
    const Tensor grad_scores = grad_of_scores(p, matmul(grad, value.transpose(2, 3))) * a.scale;
    const Tensor q = query.narrow(0, run.first, run.count).narrow(1, row, rows).transpose(1, 2);
    grads.query.narrow(0, run.first, run.count)
        .narrow(1, row, rows)
        .copy_(matmul(grad_scores, key).transpose(1, 2));
    add_to_tokens(grads.key, run, matmul(grad_scores.transpose(2, 3), q).transpose(1, 2));
    add_to_tokens(grads.value, run, matmul(p.dropped.transpose(2, 3), grad).transpose(1, 2));
  });
  return grads;
}

std::tuple<Tensor, Tensor, Tensor> global_attention_backward(const Tensor& grad_output, const Tensor& query,
                                                             const Tensor& key, const Tensor& value,
                                                             const Tensor& global_index,
                                                             const GlobalOptions& options) {
  constexpr const char* op = "_global_attention_backward";
  const GlobalAttention a = check_global_attention(op, query, key, value, global_index, options);
  check_global_gradient(op, grad_output, query);
  const AttentionGradients g = projected_backward(a, grad_output);
  const ScalarType type = query.scalar_type();
  return {g.query.to(type), g.key.to(type).view(key.sizes()), g.value.to(type).view(value.sizes())};
}

struct FoldedGradients {
  Tensor query, hidden, key_weight, value_weight,
      value_bias;  // in the compute type; hidden [N, C]; no bias: undefined
};

FoldedGradients folded_backward(const GlobalAttention& a, const Tensor& grad_output, const Tensor& key_weight,
                                const Tensor& value_weight, const Tensor& value_bias) {
  const ScalarType type = compute_type(a.query);
  const int64_t heads = a.query.size(2), dim = a.query.size(3), channels = a.key.size(1);
  const Tensor wk = key_weight.to(type).reshape({heads, dim, channels}),
               wv = value_weight.to(type).reshape({heads, dim, channels});
  const Tensor bias = value_bias.defined() ? value_bias.to(type).reshape({heads, dim, 1}) : Tensor();
  const Tensor q = a.query.to(type).permute({0, 2, 1, 3}) * a.scale;  // [S, H, G, D]
  const Tensor folded = matmul(q, wk);  // [S, H, G, C]: scores are folded . hidden
  const TensorOptions options = q.options();
  const Tensor grad_folded = zeros(folded.sizes(), options), grad_hidden = zeros(a.key.sizes(), options),
               grad_wv = zeros({heads, dim, channels}, options),
               grad_bias = bias.defined() ? zeros({heads, dim}, options) : Tensor();
  for_each_part(a, [&](const Run& run, int64_t row, int64_t rows) {
    const auto part = [&](const Tensor& t) { return t.narrow(0, run.first, run.count).narrow(2, row, rows); };
    // Heads and rows in one matrix: the hidden states are the same for all heads.
    const auto matrix = [&](const Tensor& t) { return t.reshape({run.count, heads * rows, t.size(-1)}); };
    const auto by_heads = [&](const Tensor& t) { return t.view({run.count, heads, rows, t.size(-1)}); };
    const Tensor tokens = visible_tokens_of(a.visible, a.key, run);  // [count, length, C]
    const Tensor keys = tokens.transpose(1, 2), folded_rows = matrix(part(folded));
    // Without the key bias, which adds the same to all scores of a row and so changes no softmax.
    const Probabilities p = probabilities_of(a, run, by_heads(matmul(folded_rows, keys)), row);
    const Tensor pooled = by_heads(matmul(matrix(p.dropped), tokens));
    const Tensor grad = grad_of_rows(a, grad_output, run, row, rows);  // [count, H, rows, D]
    const Tensor grad_pooled = matmul(grad, wv);                       // [count, H, rows, C]
    grad_wv.add_(matmul(grad.transpose(2, 3), pooled).sum(0));
    Tensor grad_dropped = by_heads(matmul(matrix(grad_pooled), keys));
    if (bias.defined()) {  // pooled with the values: times the sum of the probabilities
      grad_bias.add_((grad * p.dropped.sum(-1, true)).sum({0, 2}));
      grad_dropped = grad_dropped + matmul(grad, bias);
    }
    const Tensor grad_scores = matrix(grad_of_scores(p, grad_dropped));
    part(grad_folded).copy_(by_heads(matmul(grad_scores, tokens)));
    add_product_to_tokens(grad_hidden, run, grad_scores, folded_rows);
    add_product_to_tokens(grad_hidden, run, matrix(p.dropped), matrix(grad_pooled));
  });
  FoldedGradients grads;
  grads.query = (matmul(grad_folded, wk.transpose(1, 2)) * a.scale).permute({0, 2, 1, 3}).contiguous();
  grads.hidden = grad_hidden;
  // Kept until a step's end: in memory of this library's, not of malloc's.
  grads.key_weight = empty(key_weight.sizes(), options);
  grads.key_weight.copy_(matmul(q.transpose(2, 3), grad_folded).sum(0).view(key_weight.sizes()));
  grads.value_weight = grad_wv.view(value_weight.sizes());
  if (bias.defined()) grads.value_bias = grad_bias.view({heads * dim});
  return grads;
}

// The gradients where the keys and values of all tokens are projected.
FoldedGradients unfolded_backward(GlobalAttention a, const Tensor& grad_output, const Tensor& key_weight,
                                  const Tensor& key_bias, const Tensor& value_weight,
                                  const Tensor& value_bias) {
  const ScalarType type = projection_type(a.query), wide = compute_type(a.query);
  const int64_t heads = a.query.size(2), dim = a.query.size(3);
  Tensor hidden = a.key.to(type);
  // An invisible token may hold NaN, and 0 times it must be 0.
  if (a.visible.defined()) hidden = hidden.masked_fill(a.visible.eq(0).unsqueeze(-1), 0.0);
  const auto project = [&](const Tensor& weight, const Tensor& bias) {
    return matrix_product(hidden, weight.to(type), bias.defined() ? bias.to(type) : bias)
        .view({-1, heads, dim});
  };
  a.key = project(key_weight, key_bias);
  a.value = project(value_weight, value_bias);
  const AttentionGradients g = projected_backward(a, grad_output);
  const auto flat = [&](const Tensor& t) { return t.to(type).view({-1, heads * dim}); };
  const LinearGradients of_key = linear_backward(flat(g.key), hidden, key_weight.to(type), true, true, false),
                        of_value = linear_backward(flat(g.value), hidden, value_weight.to(type), true, true,
                                                   value_bias.defined());
  return {g.query, of_key.input.to(wide) + of_value.input.to(wide), of_key.weight, of_value.weight,
          of_value.bias};
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> folded_global_attention_backward(
    const Tensor& grad_output, const Tensor& query, const Tensor& hidden, const Tensor& key_weight,
    const OptionalTensor& key_bias, const Tensor& value_weight, const OptionalTensor& value_bias,
    const Tensor& global_index, const GlobalOptions& options) {
  constexpr const char* op = "_folded_global_attention_backward";
  const GlobalAttention a = check_folded_global_attention(op, query, hidden, key_weight, key_bias,
                                                          value_weight, value_bias, global_index, options);
  check_global_gradient(op, grad_output, query);
  const Tensor bias_of_keys = given(key_bias) ? *key_bias : Tensor(),
               bias_of_values = given(value_bias) ? *value_bias : Tensor();
  const Tensor grad_key_bias =
      given(key_bias) ? zeros_like(*key_bias) : Tensor();  // the softmax does not see it
  if (query.numel() == 0)
    return {zeros_like(query),        zeros_like(hidden),
            zeros_like(key_weight),   grad_key_bias,
            zeros_like(value_weight), given(value_bias) ? zeros_like(*value_bias) : Tensor()};
  const FoldedGradients g =
      folding_is_cheaper(a, a.key.size(1))
          ? folded_backward(a, grad_output, key_weight, value_weight, bias_of_values)
          : unfolded_backward(a, grad_output, key_weight, bias_of_keys, value_weight, bias_of_values);
  const ScalarType type = query.scalar_type();
  return {g.query.to(type),        g.hidden.to(type).view(hidden.sizes()),
          g.key_weight.to(type),   grad_key_bias,
          g.value_weight.to(type), g.value_bias.defined() ? g.value_bias.to(type) : Tensor()};
}

}  // namespace

LONGFORMER_REGISTER(r) {
  r.impl<global_attention_backward>("_global_attention_backward");
  r.impl<folded_global_attention_backward>("_folded_global_attention_backward");
}

}  // namespace longformer
