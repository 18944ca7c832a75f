// add_layer_norm by a CUDA kernel.
#pragma once
#include "launcher.h"

namespace longformer::cuda {

// Whether the kernel serves the tensors: float32, bfloat16 or float16 of one type, rows of whole 16-byte
// chunks and at most kMostNormColumns, a residual (or an undefined tensor) of the input's shape.
bool norm_serves(const Tensor& input, const Tensor& residual, const Tensor& weight, const Tensor& bias);
constexpr int64_t kMostNormColumns = 2048;

// out: contiguous, like the input; may be the input or the residual where those are contiguous.
void norm_into(const Tensor& input, const Tensor& residual, const Tensor& weight, const Tensor& bias,
               double eps, const Tensor& out, Launcher& launcher);

// A warp for each row.
Grid norm_grid(int64_t rows);

KernelText norm_text(int type, int64_t columns);

}  // namespace longformer::cuda
