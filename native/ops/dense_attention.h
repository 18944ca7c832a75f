// The checked arguments of longformer::_dense_attention.
#pragma once
#include <vector>

#include "../base/library.h"

namespace longformer {

// Sequences of queries, each over the keys of a sequence of its own.
struct DenseAttention {
  Tensor q, k, v;                                   // [N, H, D], [M, H, D]; last dimension contiguous
  Tensor visible;                                   // bool [M], or undefined: all keys are
  std::vector<int64_t> query_offsets, key_offsets;  // [S+1]
  double scale, dropout;
  int64_t seed;
};

// Throws ValueError. The message names the argument, what is expected and what was given.
DenseAttention check_dense_attention(const char* op, const Tensor& query, const Tensor& key,
                                     const Tensor& value, const OptionalTensor& mask, IntList query_offsets,
                                     IntList key_offsets, double scale, double dropout, int64_t seed);
void check_dense_gradient(const char* op, const Tensor& grad_output, const Tensor& output,
                          const Tensor& logsumexp, const DenseAttention& a);

}  // namespace longformer
