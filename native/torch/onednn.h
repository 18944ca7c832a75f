// Products by the oneDNN that libtorch was built with. Not every libtorch has it.
#pragma once
#include "../base/tensor.h"

namespace longformer::torch {

bool has_onednn();

// A weight [outputs, inputs] in oneDNN's own layout: a tensor that only onednn_linear reads. Undefined where this libtorch has no such
// layout.
Tensor onednn_pack(const Tensor& weight);

// input [rows, inputs] . weight^T + bias, all of one type, float32 or bfloat16; the weight packed or plain, bias may be undefined. In
// a parallel region on the calling thread alone.
Tensor onednn_linear(const Tensor& input, const Tensor& weight, const Tensor& bias);

}  // namespace longformer::torch
