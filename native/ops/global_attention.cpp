// The attention of the global tokens themselves: a few queries over all keys of their sequence. Uses
// operators of libtorch in float32 (float64 for float64), so that it runs on every device.
// global_attention_backward.cpp has the gradients.
#include "global_attention.h"

#include <algorithm>
#include <limits>

#include "backward.h"
#include "cpu/fold.h"

namespace longformer {

std::vector<Run> runs_of_equal_length(const std::vector<int64_t>& offsets) {
  std::vector<Run> runs;
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    const int64_t length = offsets[s + 1] - offsets[s];
    if (!runs.empty() && runs.back().length == length)
      ++runs.back().count;
    else
      runs.push_back({static_cast<int64_t>(s), 1, offsets[s], length});
  }
  return runs;
}

namespace {

// Tokens of a run: [N, ...] -> [count, length, ...].
Tensor tokens_of(const Tensor& t, const Run& run) {
  auto shape = t.sizes().vec();
  shape[0] = run.length;
  shape.insert(shape.begin(), run.count);
  return t.narrow(0, run.begin, run.count * run.length).reshape(shape);
}

}  // namespace

Tensor visible_tokens_of(const Tensor& visible, const Tensor& t, const Run& run) {
  const Tensor tokens = tokens_of(t, run).to(compute_type(t));
  if (!visible.defined()) return tokens;
  Tensor hidden = tokens_of(visible, run).eq(0);
  while (hidden.dim() < tokens.dim()) hidden = hidden.unsqueeze(-1);
  return tokens.masked_fill(hidden, 0.0);
}

Tensor empty_rows(const GlobalAttention& a, const Run& run) {
  const Tensor index = a.global_index.narrow(0, run.first, run.count);
  Tensor empty = index.lt(0);
  if (a.visible.defined() && run.length > 0)
    empty = empty | tokens_of(a.visible, run).gather(1, index.clamp_min(0)).eq(0);
  return empty;
}

namespace {

// [S, G] of all sequences.
Tensor all_empty_rows(const GlobalAttention& a) {
  if (!a.visible.defined()) return a.global_index.lt(0);
  TensorList empty;
  for (const Run& run : runs_of_equal_length(a.offsets)) empty.push_back(empty_rows(a, run));
  return empty.size() == 1 ? empty[0] : cat(empty);
}

}  // namespace

Tensor visible_softmax(const Tensor& visible, const Run& run, const Tensor& scores) {
  if (!visible.defined()) return scores.softmax(-1);
  const Tensor hidden = tokens_of(visible, run).eq(0).unsqueeze(1).unsqueeze(1);
  // The lowest number and not -inf, which would make NaN of a row without any visible key.
  const double lowest = scores.scalar_type() == kDouble ? std::numeric_limits<double>::lowest()
                                                        : std::numeric_limits<float>::lowest();
  return scores.masked_fill(hidden, lowest).softmax(-1).masked_fill(hidden, 0.0);
}

Tensor dropout_factors(const GlobalAttention& a, const Run& run, const Tensor& scores, int64_t row) {
  if (a.dropout <= 0.0) return {};
  const int64_t globals = a.global_index.size(1), rows = scores.size(2);
  const Device device = scores.device();
  const Tensor sequence = arange(run.first, run.first + run.count, device).view({-1, 1, 1, 1});
  const Tensor slot = sequence.mul(globals) + arange(row, row + rows, device).view({1, 1, -1, 1});
  const Tensor key =
      arange(run.begin, run.begin + run.count * run.length, device).view({run.count, 1, 1, run.length});
  const Tensor head = arange(scores.size(1), device).view({1, -1, 1, 1});
  const Tensor keeps = dropout_mask(a.seed, head, slot.add(a.offsets.back()), key, a.dropout);
  return keeps.to(scores.scalar_type()).div_(1.0 - a.dropout);
}

int64_t rows_at_once(const Run& run, int64_t heads) {
  return std::max<int64_t>((int64_t{1} << 24) / std::max<int64_t>(run.count * heads * run.length, 1), 1);
}

namespace {

// softmax over the visible keys, then dropout. scores: [count, H, rows, length] of the global rows from `row`
// on.
Tensor probabilities(const GlobalAttention& a, const Run& run, const Tensor& scores, int64_t row) {
  const Tensor p = visible_softmax(a.visible, run, scores), factors = dropout_factors(a, run, scores, row);
  return factors.defined() ? p * factors : p;
}

// Joins the results of attend(run, row, rows), which returns [count, H, rows, D] for the global rows row ..
// row+rows of a run. Rows without a visible token become zeros. Returns [S, G, H, D] in the type of the
// query.
template <typename Attend>
Tensor for_each_run(const GlobalAttention& a, Attend&& attend) {
  const int64_t globals = a.query.size(1), heads = a.query.size(2);
  if (a.query.numel() == 0) return a.query.clone();
  TensorList results;
  for (const Run& run : runs_of_equal_length(a.offsets)) {
    if (run.length == 0) {
      results.push_back(zeros({run.count, globals, heads, a.query.size(3)}, a.query.options()));
      continue;
    }
    TensorList parts;
    for (int64_t row = 0, rows; row < globals; row += rows) {
      rows = std::min(rows_at_once(run, heads), globals - row);
      parts.push_back(attend(run, row, rows));
    }
    const Tensor all = (parts.size() == 1 ? parts[0] : cat(parts, 2)).transpose(1, 2);  // [count, G, H, D]
    const Tensor empty = empty_rows(a, run).unsqueeze(-1).unsqueeze(-1);
    results.push_back(all.masked_fill(empty, 0.0).to(a.query.scalar_type()));
  }
  return results.size() == 1 ? results[0].contiguous() : cat(results, 0);
}

}  // namespace

Tensor projected_scores(const GlobalAttention& a, const Tensor& query, const Tensor& key, const Run& run,
                        int64_t row, int64_t rows) {
  const Tensor q = query.narrow(0, run.first, run.count).narrow(1, row, rows).transpose(1, 2);
  return matmul(q * a.scale, key.permute({0, 2, 3, 1}));
}

namespace {

Tensor attend_projected(const GlobalAttention& a) {
  const auto type = compute_type(a.query);
  const Tensor query = a.query.to(type);
  return for_each_run(a, [&](const Run& run, int64_t row, int64_t rows) {
    const Tensor key = visible_tokens_of(a.visible, a.key, run),
                 value = visible_tokens_of(a.visible, a.value, run);
    const Tensor p = probabilities(a, run, projected_scores(a, query, key, run, row, rows), row);
    return matmul(p, value.transpose(1, 2));
  });
}

Tensor global_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                        const Tensor& global_index, const GlobalOptions& options) {
  return attend_projected(
      check_global_attention("global_attention", query, key, value, global_index, options));
}

}  // namespace

Tensor pooled_tokens_by_aten(const Tensor& queries, const Tensor& hidden, const Tensor& visible,
                             IntList sequence_offsets) {
  const int64_t rows = queries.size(1);
  TensorList results;
  for (const Run& run : runs_of_equal_length(sequence_offsets.vec())) {
    const Tensor tokens = visible_tokens_of(visible, hidden, run);  // [count, length, C]
    TensorList parts;
    for (int64_t row = 0, count; row < rows; row += count) {
      count = std::min(rows_at_once(run, 1), rows - row);
      const Tensor q = queries.narrow(0, run.first, run.count).narrow(1, row, count);
      const Tensor scores = matmul(q, tokens.transpose(1, 2)).unsqueeze(1);
      parts.push_back(matmul(visible_softmax(visible, run, scores).squeeze(1), tokens));
    }
    results.push_back(parts.size() == 1 ? parts[0] : cat(parts, 1));
  }
  return results.empty() ? zeros_like(queries) : cat(results);
}

namespace {

Tensor pool(const Tensor& queries, const Tensor& hidden, const Tensor& visible, IntList offsets) {
  return queries.is_cuda() ? pooled_tokens_on_cuda(queries, hidden, visible, offsets)
                           : pooled_tokens_on_cpu(queries, hidden, visible, offsets);
}

Tensor pooled_tokens(const Tensor& queries, const Tensor& hidden, const OptionalTensor& mask,
                     IntList sequence_offsets) {
  check_pooled_tokens(queries, hidden, mask, sequence_offsets);
  return pool(queries, hidden, or_none(mask), sequence_offsets);
}

}  // namespace

bool folding_is_cheaper(const GlobalAttention& a, int64_t channels) {
  const double tokens = static_cast<double>(a.offsets.back()),
               sequences = static_cast<double>(a.offsets.size() - 1);
  const double globals = static_cast<double>(a.query.size(1)), dim = static_cast<double>(a.query.size(3));
  const double folded = channels * globals * (tokens + sequences * dim);
  const double projected = tokens * dim * (channels + globals);
  return folded < projected;
}

ScalarType projection_type(const Tensor& query) {
  return query.is_cpu() ? compute_type(query) : query.scalar_type();
}

namespace {

Tensor folded_global_attention(const Tensor& query, const Tensor& hidden, const Tensor& key_weight,
                               const OptionalTensor& key_bias, const Tensor& value_weight,
                               const OptionalTensor& value_bias, const Tensor& global_index,
                               const GlobalOptions& options) {
  GlobalAttention a =
      check_folded_global_attention("folded_global_attention", query, hidden, key_weight, key_bias,
                                    value_weight, value_bias, global_index, options);
  const int64_t heads = query.size(2), dim = query.size(3), channels = a.key.size(1);
  const ScalarType type = compute_type(query);

  if (!folding_is_cheaper(a, channels)) {
    const ScalarType product_type = projection_type(query);
    const auto project = [&](const Tensor& weight, const OptionalTensor& bias) {
      return matrix_product(a.key.to(product_type), weight.to(product_type),
                            given(bias) ? bias->to(product_type) : Tensor())
          .view({-1, heads, dim});
    };
    const Tensor keys = project(key_weight, key_bias);
    a.value = project(value_weight, value_bias);
    a.key = keys;
    return attend_projected(a);
  }

  if (a.dropout == 0.0 && query.numel() > 0 && cpu::folds(query, key_weight) &&
      cpu::folds(query, value_weight)) {
    const Tensor folded = cpu::fold_query(query, a.scale, key_weight);
    const Tensor pooled = pool(folded.flatten(1, 2), a.key, a.visible, a.offsets);
    return cpu::unfold_pooled(pooled.view(folded.sizes()), value_weight, or_none(value_bias))
        .masked_fill(all_empty_rows(a).unsqueeze(-1).unsqueeze(-1), 0.0)
        .contiguous();
  }
  const Tensor wk = key_weight.to(type).view({heads, dim, channels});
  const Tensor wv = value_weight.to(type).view({heads, dim, channels});
  const Tensor q = query.to(type).permute({0, 2, 1, 3}) * a.scale;  // [S, H, G, D]
  const Tensor folded = matmul(q, wk);  // [S, H, G, C]: scores are folded . hidden
  if (a.dropout == 0.0 && query.numel() > 0) {
    // The key bias adds the same to all scores of a row, which changes no softmax.
    const Tensor pooled = pool(folded.flatten(1, 2), a.key, a.visible, a.offsets);
    Tensor out = matmul(pooled.view(folded.sizes()), wv.transpose(1, 2));  // [S, H, G, D]
    if (given(value_bias)) out = out + value_bias->to(type).view({heads, 1, dim});
    return out.transpose(1, 2)
        .masked_fill(all_empty_rows(a).unsqueeze(-1).unsqueeze(-1), 0.0)
        .to(query.scalar_type())
        .contiguous();
  }
  Tensor key_shift;  // [S, H, G, 1]
  if (given(key_bias)) key_shift = matmul(q, key_bias->to(type).view({heads, dim, 1}));
  return for_each_run(a, [&](const Run& run, int64_t row, int64_t rows) {
    const Tensor tokens = visible_tokens_of(a.visible, a.key, run);  // [count, length, C]
    const auto part = [&](const Tensor& t) { return t.narrow(0, run.first, run.count).narrow(2, row, rows); };
    // Heads and rows in one matrix: the hidden states are the same for all heads.
    Tensor scores = matmul(part(folded).reshape({run.count, heads * rows, channels}), tokens.transpose(1, 2))
                        .view({run.count, heads, rows, run.length});
    if (key_shift.defined()) scores = scores + part(key_shift);
    const Tensor p = probabilities(a, run, scores, row);
    const Tensor pooled = matmul(p.reshape({run.count, heads * rows, run.length}), tokens)
                              .view({run.count, heads, rows, channels});
    Tensor out = matmul(pooled, wv.transpose(1, 2));  // [count, H, rows, D]
    // The bias is pooled with the values: times the sum of the probabilities, which dropout moves away
    // from 1.
    if (given(value_bias)) out = out + p.sum(-1, true) * value_bias->to(type).view({heads, 1, dim});
    return out;
  });
}

Tensor global_attention_probabilities(const Tensor& query, const Tensor& key, const Tensor& global_index,
                                      const GlobalProbabilityOptions& options) {
  const GlobalAttention a =
      check_global_attention("global_attention_probabilities", query, key, key, global_index, options);
  const auto type = compute_type(query);
  const auto runs = runs_of_equal_length(a.offsets);
  int64_t longest = 0;
  for (const Run& run : runs) longest = std::max(longest, run.length);
  TensorList results;
  for (const Run& run : runs) {
    Tensor p = zeros({run.count, query.size(1), query.size(2), run.length}, query.options().dtype(type));
    if (run.length > 0) {
      const Tensor scores = projected_scores(a, a.query.to(type), visible_tokens_of(a.visible, a.key, run),
                                             run, 0, query.size(1));
      p = probabilities(a, run, scores, 0).transpose(1, 2);
      p = p.masked_fill(empty_rows(a, run).unsqueeze(-1).unsqueeze(-1), 0.0);
    }
    results.push_back(pad(p, {0, longest - run.length}));
  }
  if (results.empty()) return zeros({0, query.size(1), query.size(2), 0}, query.options().dtype(type));
  return cat(results, 0);
}

}  // namespace

LONGFORMER_REGISTER(r) {
  r.impl<global_attention>("global_attention");
  r.impl<folded_global_attention>("folded_global_attention");
  r.impl<pooled_tokens>("_pooled_tokens");
  r.impl<global_attention_probabilities>("global_attention_probabilities");
}

}  // namespace longformer
