// What only the CUDA part of libtorch has, found when it is first needed: the library runs without it.
#pragma once
#include "../base/tensor.h"

namespace longformer::torch {

bool has_cuda();

// The stream (a CUstream) on which libtorch works on that device on this thread. Throws NotImplementedError where the loaded libtorch has
// no CUDA part.
void* current_cuda_stream(int32_t device);

// gelu(input weight^T + bias), the GELU by tanh, in one call of cuBLASLt: input [M, K], weight [N, K], bias [N] -> [M, N]. Undefined where
// the loaded libtorch does not offer it.
Tensor cuda_linear_gelu(const Tensor& input, const Tensor& weight, const Tensor& bias);

// out = input weight^T + bias, without a tensor in between; bias may be undefined. Any device. out [..., N] must not overlap the others.
void linear_into(const Tensor& out, const Tensor& input, const Tensor& weight, const Tensor& bias);

}  // namespace longformer::torch
