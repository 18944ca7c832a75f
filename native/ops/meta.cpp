// Shapes and dtypes without data, for meta and fake tensors: what a tracer needs to see through the
// operators. The arguments are checked as on a device, as far as their sizes are plain numbers.

#include "operators.h"

namespace longformer {
namespace {

bool symbolic(const Tensor& t) {
  return t.unsafeGetTensorImpl()->has_symbolic_sizes_strides();
}

Tensor row_major_like(const Tensor& t) {
  return empty_like(t, t.options());
}

std::tuple<Tensor, Tensor> forward(const BandedOptions& options, const Tensor& query,
                                           const Tensor& key, const Tensor& value) {
  check_implementation("banded_attention", options.implementation);
  if (!symbolic(query)) check_banded_attention("banded_attention", query, key, value, options);
  const auto sizes = query.sym_sizes();
  return {row_major_like(query),
          at::empty_symint(sizes.slice(0, sizes.size() - 1), query.options().dtype(compute_type(query)))};
}

std::tuple<Tensor, Tensor, Tensor> backward(const BandedOptions& options,
                                                        const Tensor& grad_output,
                                                        const Tensor& query, const Tensor& key,
                                                        const Tensor& value, const Tensor& output,
                                                        const Tensor& logsumexp) {
  check_implementation("banded_attention_backward", options.implementation);
  if (!symbolic(query)) {
    const BandedAttention a = check_banded_attention("banded_attention_backward", query, key, value, options);
    check_banded_gradients(a, query, grad_output, output, logsumexp);
  }
  return {row_major_like(query), row_major_like(key), row_major_like(value)};
}

Tensor probabilities(const Tensor& query, const Tensor& key, int64_t window_left,
                         int64_t window_right, OptionalIntList dilation,
                         const OptionalTensor& mask, const OptionalTensor& global_index,
                         OptionalIntList sequence_offsets, std::optional<double> scale) {
  if (!symbolic(query))
    check_banded_attention("banded_attention_probabilities", query, key, key,
                           {window_left, window_right, dilation, mask, global_index, sequence_offsets, scale,
                            /*dropout=*/0.0, /*seed=*/0, /*implementation=*/"chunks"});
  auto sizes = query.sym_sizes().vec();
  const bool global = global_index.has_value() && global_index->defined();
  sizes.back() =
      (global ? global_index->sym_size(1) : c10::SymInt(0)) + c10::SymInt(window_left + 1 + window_right);
  return at::empty_symint(sizes, query.options().dtype(compute_type(query)));
}

Tensor embed(const Tensor& words, const OptionalTensor& word_ids,
                 const Tensor& positions, const OptionalTensor& position_ids,
                 const OptionalTensor& types, const OptionalTensor& type_ids,
                 const Tensor& weight, const Tensor& bias, double eps, double word_scale, int64_t,
                 int64_t) {
  if (!symbolic(words))
    check_embed(words, word_ids, positions, position_ids, types, type_ids, weight, bias, eps, word_scale);
  c10::SymInt tokens = words.sym_size(0);
  for (const OptionalTensor* ids : {&type_ids, &position_ids, &word_ids})
    if (ids->has_value() && (*ids)->defined()) tokens = (*ids)->sym_size(0);
  return at::empty_symint({tokens, words.sym_size(1)}, words.options());
}

}  // namespace

TORCH_LIBRARY_IMPL(longformer, Meta, m) {
  m.impl("embed", TORCH_FN(embed));
  m.impl("banded_attention", TORCH_FN(TakesOptions<forward>::call));
  m.impl("banded_attention_backward", TORCH_FN(TakesOptions<backward>::call));
  m.impl("banded_attention_probabilities", TORCH_FN(probabilities));
}

}  // namespace longformer
