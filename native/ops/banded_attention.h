// The contract between the operator (schema.cpp, banded_attention.cpp) and its implementations (loop.cpp,
// chunks.cpp, cpu/, cuda/). check_attention.cpp has validated every shape, dtype and index in these structs;
// implementations trust them.
//
// Dimensions: B sequences, T tokens, H heads, D head dimension, W one-sided window, G global tokens of a
// sequence.
#pragma once
#include <cstdint>
#include <tuple>
#include <vector>

#include "../base/tensor.h"

namespace longformer {

// A query at position i of its sequence sees, per head h with dilation d = dilation[h]:
//   local keys   j = i + d*s, s = -window_left .. window_right, 0 <= j < length, visible[j]
//   global keys  every position of global_index of its sequence that is visible
// Each key counts once even if it is both. A query whose own position is not visible gives a row of zeros,
// and so does a query that sees no key. Softmax runs in float32 (float64 for float64 inputs).
struct BandedAttention {
  Tensor q, k, v;  // [N, H, D] with N = sum of lengths; last dimension contiguous; any strides else
  // S+1 ascending token offsets of the S sequences in N (of a batch [B, T, ...]: 0, T, 2T ...).
  std::vector<int64_t> offsets;
  Tensor visible;  // bool [N] contiguous, or undefined: all visible
  // int64 [S, G] contiguous: positions inside the sequence, ascending, then -1; or undefined.
  Tensor global_index;
  int64_t window_left = 0;        // keys to the left, in steps of the dilation
  int64_t window_right = 0;       // keys to the right (0: causal)
  std::vector<int64_t> dilation;  // H values >= 1
  double scale = 1.0;             // multiplies q.k
  double dropout = 0.0;  // probability of dropping an attention probability; kept ones are divided by 1-p
  int64_t seed = 0;      // of the dropout

  // Relative positions (Transformer-XL); undefined: none. The score of query i and key j of a sequence is
  //   scale * ((q_i + content_bias) . k_j + (q_i + position_bias) . relative[relative_zero + i - j])
  // with i and j counted in tokens, whatever the dilation. No global keys. The table has a row for every
  // distance inside the longest sequence that a window reaches.
  Tensor relative;                     // [P, H, D], last dimension contiguous
  Tensor content_bias, position_bias;  // [H, D] contiguous, undefined: zeros
  int64_t relative_zero = 0;           // the row of distance 0

  // On a CPU, of bfloat16: multiplied by instructions for it where the processor has any, otherwise in
  // float32. False only in tests.
  bool bfloat16_products = true;
};

// out: like q [N, H, D]. lse: [N, H] float32 (float64 for float64 inputs), log of the sum of exp(scale*q.k);
// -inf where the row is empty.
struct BandedForward {
  Tensor out, lse;
};
struct BandedBackward {
  Tensor grad_q, grad_k, grad_v;
  // With relative positions: [P, H, D], [H, D] and [H, D] in the type of q, whether or not biases were given.
  Tensor grad_relative = {}, grad_content_bias = {}, grad_position_bias = {};
};

// Returns whether dropout keeps a probability. A pure function of (seed, head, query token, key token), so
// that every implementation drops the same ones, forward and backward, in any order. query and key are
// positions in N.
// One round of a 64-bit mixer (the finaliser of SplitMix64) on a combination of the coordinates.
inline bool dropout_keeps(uint64_t seed, uint64_t head, uint64_t query, uint64_t key, double probability) {
  uint64_t x = seed + 0x9E3779B97F4A7C15ull * (head + 1) + 0xBF58476D1CE4E5B9ull * (query + 1) +
               0x94D049BB133111EBull * (key + 1);
  x ^= x >> 30;
  x *= 0xBF58476D1CE4E5B9ull;
  x ^= x >> 27;
  x *= 0x94D049BB133111EBull;
  x ^= x >> 31;
  return static_cast<double>(x >> 11) * 0x1.0p-53 >= probability;
}

// loop: the dense oracle (loop.cpp). Any floating dtype, any device that libtorch serves. Memory O(T^2) of
// one sequence.
BandedForward banded_attention_loop(const BandedAttention& a);
BandedBackward banded_attention_loop_backward(const BandedAttention& a, const Tensor& grad_out,
                                              const Tensor& out, const Tensor& lse);
// chunks: overlapping blocks by matrix products in operators of libtorch (chunks.cpp). Any device.
BandedForward banded_attention_chunks(const BandedAttention& a);
BandedBackward banded_attention_chunks_backward(const BandedAttention& a, const Tensor& grad_out,
                                                const Tensor& out, const Tensor& lse);
// fused: the kernels of cpu/ (float32, bfloat16, float16, float64). Memory linear in T.
BandedForward banded_attention_fused_cpu(const BandedAttention& a);
BandedBackward banded_attention_fused_cpu_backward(const BandedAttention& a, const Tensor& grad_out,
                                                   const Tensor& out, const Tensor& lse);

}  // namespace longformer
