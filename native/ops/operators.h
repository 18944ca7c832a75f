// What the operators' own files share: the options as an operator receives them, and the calls between the
// layers schema.cpp -> banded_attention.cpp -> check.cpp -> an implementation (banded_attention.h).
#pragma once
#include <optional>
#include <string_view>
#include <tuple>
#include <vector>

#include "../base/library.h"
#include "banded_attention.h"

namespace longformer {

// The options of banded_attention as they come from a caller, not checked yet.
struct BandedOptions {
  int64_t window_left;
  int64_t window_right;
  OptionalIntList dilation;
  OptionalTensor mask;
  OptionalTensor global_index;
  OptionalIntList sequence_offsets;
  std::optional<double> scale;
  double dropout;
  int64_t seed;
  std::string_view implementation;
};

// The signature of an operator that takes tensors, then the options in the order of the schema.
template <typename Result, typename... Tensors>
using WithOptions = Result(Tensors..., int64_t window_left, int64_t window_right, OptionalIntList dilation,
                           const OptionalTensor& mask, const OptionalTensor& global_index,
                           OptionalIntList sequence_offsets, std::optional<double> scale, double dropout,
                           int64_t seed, std::string_view implementation);

// Adapts function(options, tensors...) to that signature, so that the list of options is written only here.
template <auto function>
struct TakesOptions;
template <typename Result, typename... Tensors, Result (*function)(const BandedOptions&, Tensors...)>
struct TakesOptions<function> {
  static Result call(Tensors... tensors, int64_t window_left, int64_t window_right, OptionalIntList dilation,
                     const OptionalTensor& mask, const OptionalTensor& global_index,
                     OptionalIntList sequence_offsets, std::optional<double> scale, double dropout,
                     int64_t seed, std::string_view implementation) {
    return function(BandedOptions{window_left, window_right, dilation, mask, global_index, sequence_offsets,
                                  scale, dropout, seed, implementation},
                    tensors...);
  }
};

// --- check.cpp: every argument is checked here and nowhere else. Index values and offsets are read on the
// CPU only, since reading them on another device would make the host wait for it.

// Throws ValueError (ValueError in Python too) naming the operator, the argument, what is expected and what
// was given.
BandedAttention check_banded_attention(const char* op, const Tensor& query, const Tensor& key,
                                       const Tensor& value, const BandedOptions& options);
// The three further tensors of the backward pass, as [N, H, D] and [N, H].
struct BandedGradients {
  Tensor grad_output, output, logsumexp;
};
BandedGradients check_banded_gradients(const BandedAttention& a, const Tensor& query,
                                       const Tensor& grad_output, const Tensor& output,
                                       const Tensor& logsumexp);

enum class Implementation { fused, chunks, loop };
Implementation check_implementation(const char* op, std::string_view name);

// Global attention: query [S, G, H, D], key and value [N, H, D] (or hidden [N, C], in `key`; `value`
// undefined).
struct GlobalAttention {
  Tensor query, key, value;
  std::vector<int64_t> offsets;  // S+1
  Tensor visible;                // bool [N] or undefined
  Tensor global_index;           // int64 [S, G]
  double scale, dropout;
  int64_t seed;
};
struct GlobalOptions {
  OptionalTensor mask;
  OptionalIntList sequence_offsets;
  std::optional<double> scale;
  double dropout;
  int64_t seed;
};
GlobalAttention check_global_attention(const char* op, const Tensor& query, const Tensor& key,
                                       const Tensor& value, const Tensor& global_index,
                                       const GlobalOptions& options);
GlobalAttention check_folded_global_attention(const char* op, const Tensor& query, const Tensor& hidden,
                                              const Tensor& key_weight, const OptionalTensor& key_bias,
                                              const Tensor& value_weight, const OptionalTensor& value_bias,
                                              const Tensor& global_index, const GlobalOptions& options);

void check_pooled_tokens(const Tensor& queries, const Tensor& hidden, const OptionalTensor& mask,
                         IntList sequence_offsets);

// Rows of a table for N tokens: ids[n], or without ids n modulo the table's rows.
struct TokenRows {
  const char* name;
  Tensor table, ids;  // [rows, C], int64 [N]; either may be undefined
};
// LayerNorm(word_scale * words + positions + types): [N, C].
struct Embedding {
  TokenRows words, positions, types;
  Tensor weight, bias;
  double eps, word_scale;
  int64_t tokens;
};
Embedding check_embed(const Tensor& words, const OptionalTensor& word_ids, const Tensor& positions,
                      const OptionalTensor& position_ids, const OptionalTensor& types,
                      const OptionalTensor& type_ids, const Tensor& weight, const Tensor& bias, double eps,
                      double word_scale);

// --- embed.cpp: what the devices' kernels fall back to

Tensor embed_by_aten(const Embedding& e, int64_t word_padding = -1, int64_t position_padding = -1);

// --- dropout.cpp

// dropout_keeps for whole tensors: int64 coordinates that broadcast against each other -> bool, on their
// device.
Tensor dropout_mask(int64_t seed, const Tensor& head, const Tensor& query, const Tensor& key,
                    double probability);

// --- chunks.cpp

// The attention probabilities in the layout of the window: [N, H, G + window_left + 1 + window_right].
Tensor banded_probabilities(const BandedAttention& a, int64_t window_left, int64_t window_right);

// --- linear.cpp: what the kernels of cpu/ fall back to

Tensor linear_by_aten(const Tensor& input, const Tensor& weight, const OptionalTensor& bias,
                      const OptionalTensor& packed, std::string_view activation,
                      const OptionalTensor& residual);
Tensor add_layer_norm_by_aten(const Tensor& input, const OptionalTensor& residual, const Tensor& weight,
                              const Tensor& bias, double eps);

// --- global_attention.cpp: what _pooled_tokens falls back to where a device has no kernel for it

Tensor pooled_tokens_by_aten(const Tensor& queries, const Tensor& hidden, const OptionalTensor& mask,
                             IntList sequence_offsets);

// --- cpu/pooled_tokens.cpp, cuda/pooled_tokens_op.cpp: _pooled_tokens of a device

Tensor pooled_tokens_on_cpu(const Tensor& queries, const Tensor& hidden, const OptionalTensor& mask,
                            IntList sequence_offsets);
Tensor pooled_tokens_on_cuda(const Tensor& queries, const Tensor& hidden, const OptionalTensor& mask,
                             IntList sequence_offsets);

// Scores and softmax run in float32, in float64 for float64 inputs.
inline ScalarType compute_type(const Tensor& t) {
  return t.scalar_type() == kDouble ? kDouble : kFloat;
}

}  // namespace longformer
