// Products by the oneDNN that libtorch was built with. Not every libtorch was.
#pragma once
#include "../base/tensor.h"

namespace longformer::torch {

bool has_onednn();

// Returns a weight [outputs, inputs] in oneDNN's own layout, which only onednn_linear reads. Undefined where
// libtorch lacks it.
Tensor onednn_pack(const Tensor& weight);

// Returns input [rows, inputs] . weight^T + bias, all float32 or all bfloat16. The weight may be packed, bias
// undefined. Inside a parallel region only the calling thread works.
Tensor onednn_linear(const Tensor& input, const Tensor& weight, const Tensor& bias);

}  // namespace longformer::torch
