// Functions of libtorch's CUDA part, looked up at first use. The library runs without them.
#pragma once
#include "../base/tensor.h"

namespace longformer::torch {

bool has_cuda();

// Returns libtorch's current stream (a CUstream) of the device on this thread. Throws NotImplementedError
// where the loaded libtorch has no CUDA part.
void* current_cuda_stream(int32_t device);

// gelu(input weight^T + bias) with the tanh formula, in one call of cuBLASLt: input [M, K], weight [N, K],
// bias [N] -> [M, N]. Undefined where the loaded libtorch lacks it.
Tensor cuda_linear_gelu(const Tensor& input, const Tensor& weight, const Tensor& bias);

// Writes input weight^T + bias into out [..., N], which must not overlap the others. Any device; bias may be
// undefined.
void linear_into(const Tensor& out, const Tensor& input, const Tensor& weight, const Tensor& bias);

}  // namespace longformer::torch
