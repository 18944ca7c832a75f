// Shapes and dtypes without data, for meta tensors. The arguments are checked as on a device.
#include <algorithm>

#include "decode_attention.h"
#include "dense_attention.h"
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

Two banded(const Tensor& query, const Tensor& key, const Tensor& value, const BandedOptions& options) {
  check_implementation("banded_attention", options.implementation);
  check_banded_attention("banded_attention", query, key, value, options);
  const IntList sizes = query.sizes();
  return {empty_like(query),
          empty(sizes.slice(0, sizes.size() - 1), query.options().dtype(compute_type(query)))};
}

Three banded_backward(const Tensor& grad_output, const Tensor& query, const Tensor& key, const Tensor& value,
                      const Tensor& output, const Tensor& logsumexp, const BandedOptions& options) {
  check_implementation("banded_attention_backward", options.implementation);
  const BandedAttention a = check_banded_attention("banded_attention_backward", query, key, value, options);
  check_banded_gradients(a, query, grad_output, output, logsumexp);
  return {empty_like(query), empty_like(key), empty_like(value)};
}

Tensor banded_probabilities_shape(const Tensor& query, const Tensor& key,
                                  const BandedProbabilityOptions& options) {
  check_banded_attention("banded_attention_probabilities", query, key, key, options);
  auto sizes = query.sizes().vec();
  sizes.back() = (given(options.global_index) ? options.global_index->size(1) : 0) + options.window_left + 1 +
                 options.window_right;
  return empty(sizes, query.options().dtype(compute_type(query)));
}

Tensor global(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& global_index,
              const GlobalOptions& options) {
  check_global_attention("global_attention", query, key, value, global_index, options);
  return empty_like(query);
}

Three global_backward(const Tensor& grad_output, const Tensor& query, const Tensor& key, const Tensor& value,
                      const Tensor& global_index, const GlobalOptions& options) {
  constexpr const char* op = "_global_attention_backward";
  check_global_attention(op, query, key, value, global_index, options);
  check_global_gradient(op, grad_output, query);
  return {empty_like(query), empty_like(key), empty_like(value)};
}

Tensor folded(const Tensor& query, const Tensor& hidden, const Tensor& key_weight,
              const OptionalTensor& key_bias, const Tensor& value_weight, const OptionalTensor& value_bias,
              const Tensor& global_index, const GlobalOptions& options) {
  check_folded_global_attention("folded_global_attention", query, hidden, key_weight, key_bias, value_weight,
                                value_bias, global_index, options);
  return empty_like(query);
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> folded_backward(
    const Tensor& grad_output, const Tensor& query, const Tensor& hidden, const Tensor& key_weight,
    const OptionalTensor& key_bias, const Tensor& value_weight, const OptionalTensor& value_bias,
    const Tensor& global_index, const GlobalOptions& options) {
  constexpr const char* op = "_folded_global_attention_backward";
  check_folded_global_attention(op, query, hidden, key_weight, key_bias, value_weight, value_bias,
                                global_index, options);
  check_global_gradient(op, grad_output, query);
  return {empty_like(query),       empty_like(hidden),       empty_like(key_weight),
          like_if_given(key_bias), empty_like(value_weight), like_if_given(value_bias)};
}

Tensor global_probabilities(const Tensor& query, const Tensor& key, const Tensor& global_index,
                            const GlobalProbabilityOptions& options) {
  const GlobalAttention a =
      check_global_attention("global_attention_probabilities", query, key, key, global_index, options);
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

std::tuple<Tensor, Tensor> dense(const Tensor& query, const Tensor& key, const Tensor& value,
                                 const OptionalTensor& mask, IntList query_offsets, IntList key_offsets,
                                 double scale, double dropout, int64_t seed) {
  check_dense_attention("_dense_attention", query, key, value, mask, query_offsets, key_offsets, scale,
                        dropout, seed);
  return {empty_like(query),
          empty({query.size(0), query.size(1)}, query.options().dtype(compute_type(query)))};
}
Three dense_backward(const Tensor& grad_output, const Tensor& query, const Tensor& key, const Tensor& value,
                     const Tensor& output, const Tensor& logsumexp, const OptionalTensor& mask,
                     IntList query_offsets, IntList key_offsets, double scale, double dropout, int64_t seed) {
  constexpr const char* op = "_dense_attention_backward";
  check_dense_gradient(
      op, grad_output, output, logsumexp,
      check_dense_attention(op, query, key, value, mask, query_offsets, key_offsets, scale, dropout, seed));
  return {empty_like(query), empty_like(key), empty_like(value)};
}

// --- the layers

Tensor linear_pack(const Tensor& weight) {
  check_linear_pack(weight);
  return empty({0}, weight.options());  // how a device lays the weight out is its own business
}

Tensor linear_shape(const Tensor& input, const Tensor& weight, const OptionalTensor& bias,
                    const OptionalTensor& packed, std::string_view activation,
                    const OptionalTensor& residual) {
  const Linear linear = check_linear("linear", input, weight, bias, packed, activation, residual);
  return empty(linear.shape, input.options());
}

Three linear_backward(const Tensor& grad_output, const Tensor& input, const Tensor& weight, bool need_input,
                      bool need_weight, bool need_bias) {
  check_linear_gradient("_linear_backward", grad_output, input, weight);
  return {like_if(need_input, input), like_if(need_weight, weight),
          need_bias ? empty({weight.size(0)}, weight.options()) : Tensor()};
}

Tensor activation(const Tensor& input, std::string_view name) {
  check_activation("activation", input, name);
  return empty_like(input);
}
Tensor activation_backward(const Tensor& grad_output, const Tensor& input, std::string_view name) {
  check_activation("_activation_backward", input, name);
  check_activation_gradient("_activation_backward", grad_output, input);
  return empty_like(input);
}
Three activated_backward(const Tensor& grad_output, const Tensor& input, const Tensor& weight,
                         std::string_view name, bool need_weight, bool need_bias,
                         const OptionalTensor& grad_weight) {
  constexpr const char* op = "_activated_linear_backward";
  check_activation(op, input, name);
  check_linear_gradient(op, grad_output, input, weight);
  if (grad_weight.has_value()) check_out(op, *grad_weight, weight.sizes(), input);
  return {empty_like(input), like_if(need_weight && !grad_weight.has_value(), weight),
          need_bias ? empty({weight.size(0)}, weight.options()) : Tensor()};
}
Tensor hidden_dropout_shape(const Tensor& input, double probability, int64_t) {
  check_hidden_dropout(input, probability);
  return empty_like(input);
}

Tensor norm(const Tensor& input, const OptionalTensor& residual, const Tensor& weight, const Tensor& bias,
            double) {
  check_layer_norm("add_layer_norm", input, residual, weight, bias);
  return empty_like(input);
}
Tensor drop_norm(const Tensor& input, const OptionalTensor& residual, const Tensor& weight,
                 const Tensor& bias, double eps, double, int64_t) {
  return norm(input, residual, weight, bias, eps);
}
Three norm_backward(const Tensor& grad_output, const Tensor& input, const OptionalTensor& residual,
                    const Tensor& weight, double) {
  check_layer_norm("_add_layer_norm_backward", input, residual, weight, Tensor());
  check_layer_norm_gradient("_add_layer_norm_backward", grad_output, input, residual);
  return {empty_like(input), empty_like(weight), empty_like(weight)};
}
std::tuple<Tensor, Tensor, Tensor, Tensor> drop_norm_backward(const Tensor& grad_output, const Tensor& input,
                                                              const OptionalTensor& residual,
                                                              const Tensor& weight, double eps, double,
                                                              int64_t) {
  auto [sum, of_weight, of_bias] = norm_backward(grad_output, input, residual, weight, eps);
  return {empty_like(sum), std::move(sum), std::move(of_weight), std::move(of_bias)};
}

Tensor embed(const Tensor& words, const OptionalTensor& word_ids, const Tensor& positions,
             const OptionalTensor& position_ids, const OptionalTensor& types, const OptionalTensor& type_ids,
             const Tensor& weight, const Tensor& bias, double eps, double word_scale, int64_t word_padding,
             int64_t position_padding) {
  const Embedding e = check_embed("embed", words, word_ids, positions, position_ids, types, type_ids, weight,
                                  bias, eps, word_scale, word_padding, position_padding);
  return empty({e.tokens, words.size(1)}, words.options());
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> embed_backward(
    const Tensor& grad_output, const Tensor& words, const OptionalTensor& word_ids, const Tensor& positions,
    const OptionalTensor& position_ids, const OptionalTensor& types, const OptionalTensor& type_ids,
    const Tensor& weight, const Tensor& bias, double eps, double word_scale, int64_t word_padding,
    int64_t position_padding) {
  constexpr const char* op = "_embed_backward";
  check_embed_gradient(op,
                       check_embed(op, words, word_ids, positions, position_ids, types, type_ids, weight,
                                   bias, eps, word_scale, word_padding, position_padding),
                       grad_output);
  return {empty_like(words), empty_like(positions), like_if_given(types), empty_like(weight),
          empty_like(bias)};
}

}  // namespace

LONGFORMER_REGISTER(r) {
  using torch::Key;
  r.impl<banded>(Key::meta, "banded_attention");
  r.impl<banded_backward>(Key::meta, "banded_attention_backward");
  r.impl<banded_probabilities_shape>(Key::meta, "banded_attention_probabilities");
  r.impl<global>(Key::meta, "global_attention");
  r.impl<global_backward>(Key::meta, "_global_attention_backward");
  r.impl<folded>(Key::meta, "folded_global_attention");
  r.impl<folded_backward>(Key::meta, "_folded_global_attention_backward");
  r.impl<global_probabilities>(Key::meta, "global_attention_probabilities");
  r.impl<pooled_tokens>(Key::meta, "_pooled_tokens");
  r.impl<decode>(Key::meta, "decode_attention");
  r.impl<dense>(Key::meta, "_dense_attention");
  r.impl<dense_backward>(Key::meta, "_dense_attention_backward");
  r.impl<linear_pack>(Key::meta, "linear_pack");
  r.impl<linear_shape>(Key::meta, "linear");
  r.impl<linear_backward>(Key::meta, "_linear_backward");
  r.impl<activation>(Key::meta, "activation");
  r.impl<activation_backward>(Key::meta, "_activation_backward");
  r.impl<activated_backward>(Key::meta, "_activated_linear_backward");
  r.impl<hidden_dropout_shape>(Key::meta, "hidden_dropout");
  r.impl<norm>(Key::meta, "add_layer_norm");
  r.impl<norm_backward>(Key::meta, "_add_layer_norm_backward");
  r.impl<drop_norm>(Key::meta, "_dropout_add_layer_norm");
  r.impl<drop_norm_backward>(Key::meta, "_dropout_add_layer_norm_backward");
  r.impl<embed>(Key::meta, "embed");
  r.impl<embed_backward>(Key::meta, "_embed_backward");
}

}  // namespace longformer
