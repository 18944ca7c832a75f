// Shapes and dtypes without data, for meta tensors. The arguments are checked as on a device.
#include "decode_attention.h"
#include "operators.h"

namespace longformer {
namespace {

using Two = std::tuple<Tensor, Tensor>;
using Three = std::tuple<Tensor, Tensor, Tensor>;

Tensor like_if(bool wanted, const Tensor& t) {
  return wanted ? empty_like(t) : Tensor();
}
Tensor like_if_given(const OptionalTensor& t) {
  return given(t) ? empty_like(*t) : Tensor();
}

// --- attention

Two banded(const BandedOptions& options, const Tensor& query, const Tensor& key, const Tensor& value) {
  check_implementation("banded_attention", options.implementation);
  check_banded_attention("banded_attention", query, key, value, options);
  const IntList sizes = query.sizes();
  return {empty_like(query),
          empty(sizes.slice(0, sizes.size() - 1), query.options().dtype(compute_type(query)))};
}

Three banded_backward(const BandedOptions& options, const Tensor& grad_output, const Tensor& query,
                      const Tensor& key, const Tensor& value, const Tensor& output, const Tensor& logsumexp) {
  check_implementation("banded_attention_backward", options.implementation);
  const BandedAttention a = check_banded_attention("banded_attention_backward", query, key, value, options);
  check_banded_gradients(a, query, grad_output, output, logsumexp);
  return {empty_like(query), empty_like(key), empty_like(value)};
}

Tensor banded_probabilities_shape(const Tensor& query, const Tensor& key, int64_t window_left,
                                  int64_t window_right, OptionalIntList dilation, const OptionalTensor& mask,
                                  const OptionalTensor& global_index, OptionalIntList sequence_offsets,
                                  std::optional<double> scale) {
  check_banded_attention("banded_attention_probabilities", query, key, key,
                         {window_left, window_right, dilation, mask, global_index, sequence_offsets, scale,
                          /*dropout=*/0.0, /*seed=*/0, /*implementation=*/"chunks"});
  auto sizes = query.sizes().vec();
  sizes.back() = (given(global_index) ? global_index->size(1) : 0) + window_left + 1 + window_right;
  return empty(sizes, query.options().dtype(compute_type(query)));
}

Tensor global(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& global_index,
              const OptionalTensor& mask, OptionalIntList sequence_offsets, std::optional<double> scale,
              double dropout, int64_t seed) {
  check_global_attention("global_attention", query, key, value, global_index,
                         {mask, sequence_offsets, scale, dropout, seed});
  return empty_like(query);
}

Three global_backward(const Tensor&, const Tensor& query, const Tensor& key, const Tensor& value,
                      const Tensor& global_index, const OptionalTensor& mask,
                      OptionalIntList sequence_offsets, std::optional<double> scale, double dropout,
                      int64_t seed) {
  check_global_attention("_global_attention_backward", query, key, value, global_index,
                         {mask, sequence_offsets, scale, dropout, seed});
  return {empty_like(query), empty_like(key), empty_like(value)};
}

Tensor folded(const Tensor& query, const Tensor& hidden, const Tensor& key_weight,
              const OptionalTensor& key_bias, const Tensor& value_weight, const OptionalTensor& value_bias,
              const Tensor& global_index, const OptionalTensor& mask, OptionalIntList sequence_offsets,
              std::optional<double> scale, double dropout, int64_t seed) {
  check_folded_global_attention("folded_global_attention", query, hidden, key_weight, key_bias, value_weight,
                                value_bias, global_index, {mask, sequence_offsets, scale, dropout, seed});
  return empty_like(query);
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> folded_backward(
    const Tensor&, const Tensor& query, const Tensor& hidden, const Tensor& key_weight,
    const OptionalTensor& key_bias, const Tensor& value_weight, const OptionalTensor& value_bias,
    const Tensor& global_index, const OptionalTensor& mask, OptionalIntList sequence_offsets,
    std::optional<double> scale, double dropout, int64_t seed) {
  check_folded_global_attention("_folded_global_attention_backward", query, hidden, key_weight, key_bias,
                                value_weight, value_bias, global_index,
                                {mask, sequence_offsets, scale, dropout, seed});
  return {empty_like(query),       empty_like(hidden),       empty_like(key_weight),
          like_if_given(key_bias), empty_like(value_weight), like_if_given(value_bias)};
}

Tensor global_probabilities(const Tensor& query, const Tensor& key, const Tensor& global_index,
                            const OptionalTensor& mask, OptionalIntList sequence_offsets,
                            std::optional<double> scale) {
  const GlobalAttention a =
      check_global_attention("global_attention_probabilities", query, key, key, global_index,
                             {mask, sequence_offsets, scale, /*dropout=*/0.0, /*seed=*/0});
  int64_t longest = 0;
  for (size_t s = 1; s < a.offsets.size(); ++s) longest = std::max(longest, a.offsets[s] - a.offsets[s - 1]);
  return empty({query.size(0), query.size(1), query.size(2), longest},
               query.options().dtype(compute_type(query)));
}

Tensor pooled_tokens(const Tensor& queries, const Tensor& hidden, const OptionalTensor& mask,
                     IntList sequence_offsets) {
  check_pooled_tokens(queries, hidden, mask, sequence_offsets);
  return empty_like(queries);
}

Tensor decode(const Tensor& query, const TensorList& key, const TensorList& value, IntList rows,
              const TensorList& mask, std::optional<double> scale) {
  check_decode_attention(query, key, value, rows, mask, scale);
  return empty_like(query);
}

// --- the layers

Tensor linear_pack(const Tensor& weight) {
  return empty({0}, weight.options());  // how a device lays the weight out is its own business
}

Tensor linear_shape(const Tensor& input, const Tensor& weight, const OptionalTensor&, const OptionalTensor&,
                    std::string_view, const OptionalTensor&) {
  LONGFORMER_CHECK_VALUE(input.dim() >= 1 && weight.dim() == 2 && input.size(-1) == weight.size(1),
                         "longformer::linear: weight must be [outputs, ",
                         input.dim() >= 1 ? input.size(-1) : 0, "] for input ", input.sizes(), ", got ",
                         weight.sizes());
  auto sizes = input.sizes().vec();
  sizes.back() = weight.size(0);
  return empty(sizes, input.options());
}

Three linear_backward(const Tensor&, const Tensor& input, const Tensor& weight, bool need_input,
                      bool need_weight, bool need_bias) {
  return {like_if(need_input, input), like_if(need_weight, weight),
          need_bias ? empty({weight.size(0)}, weight.options()) : Tensor()};
}

Tensor activation(const Tensor& input, std::string_view) {
  return empty_like(input);
}
Tensor activation_backward(const Tensor&, const Tensor& input, std::string_view) {
  return empty_like(input);
}
Tensor hidden_dropout(const Tensor& input, double, int64_t) {
  return empty_like(input);
}

Tensor norm(const Tensor& input, const OptionalTensor&, const Tensor&, const Tensor&, double) {
  return empty_like(input);
}
Three norm_backward(const Tensor&, const Tensor& input, const OptionalTensor&, const Tensor& weight, double) {
  return {empty_like(input), empty_like(weight), empty_like(weight)};
}

Tensor embed(const Tensor& words, const OptionalTensor& word_ids, const Tensor& positions,
             const OptionalTensor& position_ids, const OptionalTensor& types, const OptionalTensor& type_ids,
             const Tensor& weight, const Tensor& bias, double eps, double word_scale, int64_t, int64_t) {
  const Embedding e =
      check_embed(words, word_ids, positions, position_ids, types, type_ids, weight, bias, eps, word_scale);
  return empty({e.tokens, words.size(1)}, words.options());
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> embed_backward(
    const Tensor&, const Tensor& words, const OptionalTensor&, const Tensor& positions, const OptionalTensor&,
    const OptionalTensor& types, const OptionalTensor&, const Tensor& weight, const Tensor& bias, double,
    double, int64_t, int64_t) {
  return {empty_like(words), empty_like(positions), like_if_given(types), empty_like(weight),
          empty_like(bias)};
}

}  // namespace

LONGFORMER_REGISTER(r) {
  using torch::Key;
  r.impl<TakesOptions<banded>::call>(Key::meta, "banded_attention");
  r.impl<TakesOptions<banded_backward>::call>(Key::meta, "banded_attention_backward");
  r.impl<banded_probabilities_shape>(Key::meta, "banded_attention_probabilities");
  r.impl<global>(Key::meta, "global_attention");
  r.impl<global_backward>(Key::meta, "_global_attention_backward");
  r.impl<folded>(Key::meta, "folded_global_attention");
  r.impl<folded_backward>(Key::meta, "_folded_global_attention_backward");
  r.impl<global_probabilities>(Key::meta, "global_attention_probabilities");
  r.impl<pooled_tokens>(Key::meta, "_pooled_tokens");
  r.impl<decode>(Key::meta, "decode_attention");
  r.impl<linear_pack>(Key::meta, "linear_pack");
  r.impl<linear_shape>(Key::meta, "linear");
  r.impl<linear_backward>(Key::meta, "_linear_backward");
  r.impl<activation>(Key::meta, "activation");
  r.impl<activation_backward>(Key::meta, "_activation_backward");
  r.impl<hidden_dropout>(Key::meta, "hidden_dropout");
  r.impl<norm>(Key::meta, "add_layer_norm");
  r.impl<norm_backward>(Key::meta, "_add_layer_norm_backward");
  r.impl<embed>(Key::meta, "embed");
  r.impl<embed_backward>(Key::meta, "_embed_backward");
}

}  // namespace longformer
