// embed by operators of libtorch, where no kernel serves, and its gradient. The kernels of the devices are in
// cpu/embed.cpp and cuda/embed.cpp.
#include "backward.h"
#include "cpu/embed_backward.h"
#include "operators.h"

namespace longformer {
namespace {

// Returns a table's row for each token. Without ids rows are taken in turn: [tokens / rows, rows, C] ->
// [tokens, C].
Tensor rows_of(const TokenRows& rows, int64_t tokens) {
  if (rows.ids.defined()) {
    const Tensor taken = empty({tokens, rows.table.size(1)}, rows.table.options());
    rows.table.index_select_into(0, rows.ids, taken);
    return taken;
  }
  const int64_t count = rows.table.size(0);
  if (count == tokens || count == 0) return rows.table;
  return rows.table.unsqueeze(0).expand({tokens / count, -1, -1}).reshape({tokens, rows.table.size(1)});
}

// The two summands of the LayerNorm, kept apart so that their sum is not rounded.
struct Summands {
  Tensor first, second;
};
Summands summands_of(const Embedding& e) {
  Tensor words = rows_of(e.words, e.tokens);
  if (e.word_scale != 1.0) words = words * e.word_scale;
  const Tensor positions = rows_of(e.positions, e.tokens);
  if (e.types.table.defined()) return {words + positions, rows_of(e.types, e.tokens)};
  return {words, positions};
}

}  // namespace

Tensor embed_by_aten(const Embedding& e) {
  const Summands s = summands_of(e);
  return add_layer_norm_by_aten(s.first, s.second, e.weight, e.bias, e.eps);
}

namespace {

// The gradient of a table whose rows the tokens took; its padding row gets none. Sums of 16-bit types are
// float32.
Tensor grad_of(const TokenRows& rows, const Tensor& grad_sum, double scale) {
  const Tensor& table = rows.table;
  const int64_t count = table.size(0), tokens = grad_sum.size(0);
  const Tensor scaled = scale == 1.0 ? grad_sum : grad_sum * scale;
  if (!rows.ids.defined()) {
    if (count == 0 || tokens == 0) return zeros(table.sizes(), table.options());
    if (count == tokens) return scaled.to(table.scalar_type());
    const ScalarType type = compute_type(table);
    return scaled.to(type).reshape({tokens / count, count, table.size(1)}).sum(0).to(table.scalar_type());
  }
  const ScalarType type = compute_type(table);
  const Tensor grad = zeros(table.sizes(), table.options().dtype(type));
  const Tensor added = scaled.to(type);
  if (grad.is_cpu())
    cpu::add_rows(grad, rows.ids, added, rows.padding);
  else
    grad.index_add_rows_(
        rows.ids, rows.padding < 0
                      ? added
                      : added.masked_fill(rows.ids.eq(static_cast<double>(rows.padding)).unsqueeze(1), 0.0));
  return grad.to(table.scalar_type());
}

// Adds it to one that exists.
void add_grad_of(const TokenRows& rows, const Tensor& grad_sum, double scale, const Tensor& to) {
  const Tensor scaled = scale == 1.0 ? grad_sum : grad_sum * scale;
  if (rows.ids.defined() && to.is_cpu() && to.is_contiguous())
    cpu::add_rows(to, rows.ids, scaled.to(compute_type(to)), rows.padding);
  else
    to.copy_(to + grad_of(rows, grad_sum, scale));
}

using Five = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor>;

// to_words may be undefined.
Five embed_backward(const Tensor& grad_output, const Tensor& words, const OptionalTensor& word_ids,
                    const Tensor& positions, const OptionalTensor& position_ids, const OptionalTensor& types,
                    const OptionalTensor& type_ids, const Tensor& weight, const Tensor& bias, double eps,
                    double word_scale, int64_t word_padding, int64_t position_padding,
                    const Tensor& to_words) {
  constexpr const char* op = "_embed_backward";
  const Embedding e = check_embed(op, words, word_ids, positions, position_ids, types, type_ids, weight, bias,
                                  eps, word_scale, word_padding, position_padding);
  check_embed_gradient(op, e, grad_output);
  const Summands s = summands_of(e);
  const NormGradients g = add_layer_norm_backward(grad_output, s.first, s.second, e.weight, e.eps);
  if (to_words.defined()) add_grad_of(e.words, g.sum, word_scale, to_words);
  return {to_words.defined() ? Tensor() : grad_of(e.words, g.sum, word_scale),
          grad_of(e.positions, g.sum, 1.0), e.types.table.defined() ? grad_of(e.types, g.sum, 1.0) : Tensor(),
          g.weight, g.bias.to(bias.scalar_type())};
}

Five embed_backward_operator(const Tensor& grad_output, const Tensor& words, const OptionalTensor& word_ids,
                             const Tensor& positions, const OptionalTensor& position_ids,
                             const OptionalTensor& types, const OptionalTensor& type_ids,
                             const Tensor& weight, const Tensor& bias, double eps, double word_scale,
                             int64_t word_padding, int64_t position_padding) {
  return embed_backward(grad_output, words, word_ids, positions, position_ids, types, type_ids, weight, bias,
                        eps, word_scale, word_padding, position_padding, Tensor());
}

Five embed_backward_into(const Tensor& grad_output, const Tensor& words, const OptionalTensor& word_ids,
                         const Tensor& positions, const OptionalTensor& position_ids,
                         const OptionalTensor& types, const OptionalTensor& type_ids, const Tensor& weight,
                         const Tensor& bias, double eps, double word_scale, int64_t word_padding,
                         int64_t position_padding, const Tensor& to_words) {
  check_out("_embed_backward_into", to_words, words.sizes(), words);
  return embed_backward(grad_output, words, word_ids, positions, position_ids, types, type_ids, weight, bias,
                        eps, word_scale, word_padding, position_padding, to_words);
}

}  // namespace

LONGFORMER_REGISTER(r) {
  r.impl<embed_backward_operator>("_embed_backward");
  r.impl<embed_backward_into>("_embed_backward_into");
}

}  // namespace longformer
