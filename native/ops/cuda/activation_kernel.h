// An activation function of every element by a CUDA kernel.
#pragma once
#include "../cpu/activation.h"
#include "launcher.h"

namespace longformer::cuda {

// Whether the kernel serves a tensor: float32, bfloat16 or float16, fewer elements than a grid can have.
bool activation_serves(const Tensor& input);

// function(input), or with a gradient (like the input) the derivative there times the gradient.
Tensor activate(const Tensor& input, const Tensor& gradient, cpu::Activation function, Launcher& launcher);

KernelText activation_text(int type, cpu::Activation function, bool backward);

}  // namespace longformer::cuda
