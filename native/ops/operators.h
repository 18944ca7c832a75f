// Shared by the files of the operators: the checked arguments, and the calls between the layers
// schema.cpp -> a kernel (banded_attention.cpp, linear.cpp, cpu/, cuda/) -> check_*.cpp -> an implementation.
//
// Every argument is checked once, when a kernel is entered, by a function of check_attention.cpp or
// check_layers.cpp. It throws ValueError, or IndexError for an id, and its message names the operator, the
// argument, what is expected and what was given. The structs that it returns are trusted. Values of index
// tensors and masks are read on the CPU only: reading them on another device would make the host wait.
#pragma once
#include <optional>
#include <string_view>
#include <tuple>
#include <vector>

#include "banded_attention.h"
#include "cpu/activation.h"
#include "cpu/hidden_keep.h"
#include "options.h"

namespace longformer {

// Scores and softmax run in float32, in float64 for float64 inputs.
inline ScalarType compute_type(const Tensor& t) {
  return t.scalar_type() == kDouble ? kDouble : kFloat;
}
// Returns the tensor, undefined where there is none. Valid as long as the argument.
inline const Tensor& or_none(const OptionalTensor& t) {
  static const Tensor none;
  return t.has_value() ? *t : none;
}

// --- check_attention.cpp

BandedAttention check_banded_attention(const char* op, const Tensor& query, const Tensor& key,
                                       const Tensor& value, const AttentionOptions& options);
// The three further tensors of the backward pass, as [N, H, D] and [N, H].
struct BandedGradients {
  Tensor grad_output, output, logsumexp;
};
BandedGradients check_banded_gradients(const BandedAttention& a, const Tensor& query,
                                       const Tensor& grad_output, const Tensor& output,
                                       const Tensor& logsumexp, const char* op = "banded_attention_backward");

// The tensors and the place of relative positions, added to the rest.
BandedAttention check_relative_attention(const char* op, const Tensor& query, const Tensor& key,
                                         const Tensor& value, const Tensor& relative,
                                         const OptionalTensor& content_bias,
                                         const OptionalTensor& position_bias, int64_t relative_zero,
                                         const AttentionOptions& options);

enum class Implementation { fused, chunks, loop };
Implementation check_implementation(const char* op, std::string_view name);

// Global attention: query [S, G, H, D], key and value [N, H, D]. Folded: hidden [N, C] in `key`, no value.
struct GlobalAttention {
  Tensor query, key, value;
  std::vector<int64_t> offsets;  // S+1
  Tensor visible;                // bool [N] or undefined
  Tensor global_index;           // int64 [S, G]
  double scale, dropout;
  int64_t seed;
};
GlobalAttention check_global_attention(const char* op, const Tensor& query, const Tensor& key,
                                       const Tensor& value, const Tensor& global_index,
                                       const AttentionOptions& options);
GlobalAttention check_folded_global_attention(const char* op, const Tensor& query, const Tensor& hidden,
                                              const Tensor& key_weight, const OptionalTensor& key_bias,
                                              const Tensor& value_weight, const OptionalTensor& value_bias,
                                              const Tensor& global_index, const AttentionOptions& options);
// The gradient of the result of either, which is like the query.
void check_global_gradient(const char* op, const Tensor& grad_output, const Tensor& query);

void check_pooled_tokens(const Tensor& queries, const Tensor& hidden, const OptionalTensor& mask,
                         IntList sequence_offsets);

// --- check_layers.cpp

using cpu::Activation;
Activation check_activation(const char* op, const Tensor& input, std::string_view name);
void check_activation_gradient(const char* op, const Tensor& grad_output, const Tensor& input);

// activation(input [..., I] . weight [O, I]^T + bias [O]) + residual [..., O]. Refers to the arguments.
struct Linear {
  const Tensor &input, &weight, &bias, &packed, &residual;  // the last three may be undefined
  Activation activation;
  std::vector<int64_t> shape;  // of the result
};
Linear check_linear(const char* op, const Tensor& input, const Tensor& weight, const OptionalTensor& bias,
                    const OptionalTensor& packed, std::string_view activation,
                    const OptionalTensor& residual);
void check_linear_pack(const Tensor& weight);
// The same of an int8 weight [O, I] whose rows have the factors scale [O] in float32.
struct Int8Linear {
  const Tensor &input, &weight, &scale, &bias, &packed, &residual;  // the last three may be undefined
  Activation activation;
  std::vector<int64_t> shape;  // of the result
};
void check_int8_quantize(const Tensor& weight);
void check_int8_values(bool finite);
void check_int8_weight(const char* op, const Tensor& weight);
Int8Linear check_int8_linear(const char* op, const Tensor& input, const Tensor& weight, const Tensor& scale,
                             const OptionalTensor& bias, const OptionalTensor& packed,
                             std::string_view activation, const OptionalTensor& residual,
                             const OptionalTensor& out = {});
// The kernels on a CPU read the input while they write `out`.
void check_apart(const char* op, const Tensor& out, const Tensor& input);
// A tensor of that shape to write into, of the type and device of `like` where that is defined.
void check_out(const char* op, const Tensor& out, IntList shape, const Tensor& like);
void check_linear_gradient(const char* op, const Tensor& grad_output, const Tensor& input,
                           const Tensor& weight);

// LayerNorm(input + residual) over the last dimension. bias is undefined in the backward pass.
void check_layer_norm(const char* op, const Tensor& input, const OptionalTensor& residual,
                      const Tensor& weight, const Tensor& bias);
void check_layer_norm_gradient(const char* op, const Tensor& grad_output, const Tensor& input,
                               const OptionalTensor& residual);
// The same where weight and bias must be of the input's type.
void check_layer_norm_like(const char* op, const Tensor& input, const Tensor& weight, const Tensor& bias);
// The rows that _feed_forward_ takes.
void check_feed_forward(const char* op, const Tensor& context, const Tensor& hidden);
// The probability of the dropout within the normalization.
void check_drop(const char* op, double probability);

// Rows of a table for N tokens: ids[n], or without ids n modulo the table's rows.
struct TokenRows {
  const char* name;
  Tensor table, ids;     // [rows, C], int64 [N]; either may be undefined
  int64_t padding = -1;  // the row that gets no gradient; -1: all do
};
// LayerNorm(word_scale * words + positions + types): [N, C].
struct Embedding {
  TokenRows words, positions, types;
  Tensor weight, bias;
  double eps, word_scale;
  int64_t tokens;
};
Embedding check_embed(const char* op, const Tensor& words, const OptionalTensor& word_ids,
                      const Tensor& positions, const OptionalTensor& position_ids,
                      const OptionalTensor& types, const OptionalTensor& type_ids, const Tensor& weight,
                      const Tensor& bias, double eps, double word_scale, int64_t word_padding,
                      int64_t position_padding);
void check_embed_gradient(const char* op, const Embedding& e, const Tensor& grad_output);

void check_hidden_dropout(const Tensor& input, double probability);

// --- The same by operators of libtorch, on any device. The kernels of a device fall back to these.

Tensor activate_by_aten(const Tensor& input, Activation activation);        // activation.cpp
Tensor linear_by_aten(const Linear& linear);                                // linear.cpp
Tensor add_layer_norm_by_aten(const Tensor& input, const Tensor& residual,  // layer_norm.cpp
                              const Tensor& weight, const Tensor& bias, double eps);
Tensor embed_by_aten(const Embedding& e);                                  // embed.cpp
Tensor pooled_tokens_by_aten(const Tensor& queries, const Tensor& hidden,  // global_attention.cpp
                             const Tensor& visible, IntList sequence_offsets);

// --- activation.cpp: the fastest way on the input's device.

Tensor activate(const Tensor& input, Activation activation);
// The derivative at the input times grad_output. `memory` may receive it where it is defined: like the input,
// contiguous; it may be grad_output.
Tensor activate_backward(const Tensor& grad_output, const Tensor& input, Activation activation,
                         const Tensor& memory);

// --- hidden_dropout.cpp

Tensor hidden_dropout(const Tensor& input, double probability, int64_t seed);
// The same for kernels of the CPU that drop out by the way; probability below 1.
cpu::HiddenDrop hidden_drop_of(double probability, int64_t seed);

// --- dropout.cpp

// dropout_keeps for whole tensors: int64 coordinates that broadcast against each other -> bool, on their
// device.
Tensor dropout_mask(int64_t seed, const Tensor& head, const Tensor& query, const Tensor& key,
                    double probability);

// --- chunks.cpp

// The attention probabilities in the layout of the window: [N, H, G + window_left + 1 + window_right].
Tensor banded_probabilities(const BandedAttention& a, int64_t window_left, int64_t window_right);

// --- cpu/pooled_tokens.cpp, cuda/pooled_tokens.cpp: _pooled_tokens of a device, its arguments checked

Tensor pooled_tokens_on_cpu(const Tensor& queries, const Tensor& hidden, const Tensor& visible,
                            IntList sequence_offsets);
Tensor pooled_tokens_on_cuda(const Tensor& queries, const Tensor& hidden, const Tensor& visible,
                             IntList sequence_offsets);

}  // namespace longformer
