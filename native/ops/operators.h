// What the operators' own files share: the options as an operator receives them, and the calls between the
// layers schema.cpp -> autograd.cpp -> banded_attention.cpp -> check.cpp -> an implementation
// (banded_attention.h).
#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/util/Optional.h>
#include <c10/util/OptionalArrayRef.h>
#include <c10/util/string_view.h>

#include <tuple>
#include <vector>

#include "banded_attention.h"

namespace longformer {

// The options of banded_attention as they come from a caller, not checked yet.
struct BandedOptions {
  int64_t window_left;
  int64_t window_right;
  at::OptionalIntArrayRef dilation;
  c10::optional<at::Tensor> mask;
  c10::optional<at::Tensor> global_index;
  at::OptionalIntArrayRef sequence_offsets;
  c10::optional<double> scale;
  double dropout;
  int64_t seed;
  c10::string_view implementation;
};

// The signature of an operator that takes tensors, then the options in the order of the schema.
template <typename Result, typename... Tensors>
using WithOptions = Result(Tensors..., int64_t window_left, int64_t window_right,
                           at::OptionalIntArrayRef dilation, const c10::optional<at::Tensor>& mask,
                           const c10::optional<at::Tensor>& global_index,
                           at::OptionalIntArrayRef sequence_offsets, c10::optional<double> scale,
                           double dropout, int64_t seed, c10::string_view implementation);

// Adapts function(options, tensors...) to that signature, so that the list of options is written only here.
template <auto function>
struct TakesOptions;
template <typename Result, typename... Tensors, Result (*function)(const BandedOptions&, Tensors...)>
struct TakesOptions<function> {
  static Result call(Tensors... tensors, int64_t window_left, int64_t window_right,
                     at::OptionalIntArrayRef dilation, const c10::optional<at::Tensor>& mask,
                     const c10::optional<at::Tensor>& global_index, at::OptionalIntArrayRef sequence_offsets,
                     c10::optional<double> scale, double dropout, int64_t seed,
                     c10::string_view implementation) {
    return function(BandedOptions{window_left, window_right, dilation, mask, global_index, sequence_offsets,
                                  scale, dropout, seed, implementation},
                    tensors...);
  }
};

// Calls a registered operator of that signature.
template <typename Operator, typename... Tensors>
auto call_with_options(const Operator& op, const BandedOptions& o, const Tensors&... tensors) {
  return op.call(tensors..., o.window_left, o.window_right, o.dilation, o.mask, o.global_index,
                 o.sequence_offsets, o.scale, o.dropout, o.seed, o.implementation);
}

using BandedForwardOperator =
    WithOptions<std::tuple<at::Tensor, at::Tensor>, const at::Tensor&, const at::Tensor&, const at::Tensor&>;
using BandedBackwardOperator =
    WithOptions<std::tuple<at::Tensor, at::Tensor, at::Tensor>, const at::Tensor&, const at::Tensor&,
                const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&>;

// --- check.cpp: every argument is checked here and nowhere else. Index values and offsets are read on the
// CPU only, since reading them on another device would make the host wait for it.

// Throws c10::ValueError (ValueError in Python) naming the operator, the argument, what is expected and what
// was given.
BandedAttention check_banded_attention(const char* op, const at::Tensor& query, const at::Tensor& key,
                                       const at::Tensor& value, const BandedOptions& options);
// The three further tensors of the backward pass, as [N, H, D] and [N, H].
struct BandedGradients {
  at::Tensor grad_output, output, logsumexp;
};
BandedGradients check_banded_gradients(const BandedAttention& a, const at::Tensor& query,
                                       const at::Tensor& grad_output, const at::Tensor& output,
                                       const at::Tensor& logsumexp);

enum class Implementation { fused, chunks, loop };
Implementation check_implementation(const char* op, c10::string_view name);

// Global attention: query [S, G, H, D], key and value [N, H, D] (or hidden [N, C], in `key`; `value`
// undefined).
struct GlobalAttention {
  at::Tensor query, key, value;
  std::vector<int64_t> offsets;  // S+1
  at::Tensor visible;            // bool [N] or undefined
  at::Tensor global_index;       // int64 [S, G]
  double scale, dropout;
  int64_t seed;
};
struct GlobalOptions {
  c10::optional<at::Tensor> mask;
  at::OptionalIntArrayRef sequence_offsets;
  c10::optional<double> scale;
  double dropout;
  int64_t seed;
};
GlobalAttention check_global_attention(const char* op, const at::Tensor& query, const at::Tensor& key,
                                       const at::Tensor& value, const at::Tensor& global_index,
                                       const GlobalOptions& options);
GlobalAttention check_folded_global_attention(const char* op, const at::Tensor& query,
                                              const at::Tensor& hidden, const at::Tensor& key_weight,
                                              const c10::optional<at::Tensor>& key_bias,
                                              const at::Tensor& value_weight,
                                              const c10::optional<at::Tensor>& value_bias,
                                              const at::Tensor& global_index, const GlobalOptions& options);

// --- dropout.cpp

// dropout_keeps for whole tensors: int64 coordinates that broadcast against each other -> bool, on their
// device.
at::Tensor dropout_mask(int64_t seed, const at::Tensor& head, const at::Tensor& query, const at::Tensor& key,
                        double probability);

// --- chunks.cpp

// The attention probabilities in the layout of the window: [N, H, G + window_left + 1 + window_right].
at::Tensor banded_probabilities(const BandedAttention& a, int64_t window_left, int64_t window_right);

// --- linear.cpp: what the kernels of cpu/ fall back to, differentiable

at::Tensor linear_by_aten(const at::Tensor& input, const at::Tensor& weight,
                          const c10::optional<at::Tensor>& bias, const c10::optional<at::Tensor>& packed,
                          c10::string_view activation, const c10::optional<at::Tensor>& residual);
at::Tensor add_layer_norm_by_aten(const at::Tensor& input, const c10::optional<at::Tensor>& residual,
                                  const at::Tensor& weight, const at::Tensor& bias, double eps);

// --- global_attention.cpp: what _pooled_tokens falls back to where a device has no kernel for it

at::Tensor pooled_tokens_by_aten(const at::Tensor& queries, const at::Tensor& hidden,
                                 const c10::optional<at::Tensor>& mask, at::IntArrayRef sequence_offsets);

// Scores and softmax run in float32, in float64 for float64 inputs.
inline at::ScalarType compute_type(const at::Tensor& t) {
  return t.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

}  // namespace longformer
