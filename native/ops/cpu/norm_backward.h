// add_layer_norm on a CPU and its gradient, for the operators that also drop out.
#pragma once
#include "../backward.h"
#include "hidden_keep.h"

namespace longformer::cpu {

// Whether norm_into takes these.
bool has_norm(const Tensor& input, const Tensor& residual, const Tensor& weight, const Tensor& bias);
// The same as norm into a contiguous tensor like the input, which may be the input or the residual.
void norm_into(const Tensor& input, const Tensor& residual, const Tensor& weight, const Tensor& bias,
               double eps, const Tensor& out, const HiddenDrop& drop = {});

bool has_norm_backward(ScalarType type);

// LayerNorm of drop(input) + residual, all of one type; residual may be undefined.
Tensor norm(const Tensor& input, const Tensor& residual, const Tensor& weight, const Tensor& bias, double eps,
            const HiddenDrop& drop = {});

// All of one type; residual may be undefined. The result does not depend on the number of threads. With a
// dropout of the input `input` of the result is its gradient, `sum` that of the residual.
NormGradients norm_backward(const Tensor& grad_output, const Tensor& input, const Tensor& residual,
                            const Tensor& weight, double eps, const HiddenDrop& drop = {});

}  // namespace longformer::cpu
