// The activation functions on a CUDA device: by a kernel for float32, bfloat16 and float16, else by operators
// of libtorch.
#pragma once
#include "../operators.h"

namespace longformer {

Tensor activate_on_cuda(const Tensor& input, Activation function);
// The derivative at the input, times the gradient, which is of its shape and type.
Tensor activate_backward_on_cuda(const Tensor& grad_output, const Tensor& input, Activation function);

// --- activation.cpp
Tensor activate_backward_by_aten(const Tensor& grad_output, const Tensor& input, Activation function);

}  // namespace longformer
