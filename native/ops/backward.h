// Gradients that several operators use.
#pragma once
#include "../base/tensor.h"

namespace longformer {

struct LinearGradients {
  Tensor input, weight, bias;
};
// --- linear.cpp: of input . weight^T + bias; undefined where not needed.
LinearGradients linear_backward(const Tensor& grad_output, const Tensor& input, const Tensor& weight,
                                bool need_input, bool need_weight, bool need_bias);
// Returns a [rows, depth] . b [columns, depth]^T + bias [columns], computed the fastest way. bias may be
// undefined.
Tensor matrix_product(const Tensor& a, const Tensor& b, const Tensor& bias = {});

struct NormGradients {
  Tensor sum, weight, bias;
  Tensor input = {};  // where a dropout came before the sum
};
// --- layer_norm.cpp: residual may be undefined
NormGradients add_layer_norm_backward(const Tensor& grad_output, const Tensor& input, const Tensor& residual,
                                      const Tensor& weight, double eps);

}  // namespace longformer
