// add_layer_norm on a CPU and its gradient, for the operators that also drop out.
#pragma once
#include "../backward.h"
#include "hidden_keep.h"

namespace longformer::cpu {

// Whether norm_into takes these.
bool has_norm(const Tensor& input, const Tensor& residual, const Tensor& weight, const Tensor& bias);
// The same as norm into a contiguous tensor like the input, which may be the input or the residual. `sum`, if
// it is defined, receives what is normalized: contiguous, like the input, which it may be.
void norm_into(const Tensor& input, const Tensor& residual, const Tensor& weight, const Tensor& bias,
               double eps, const Tensor& out, const HiddenDrop& drop = {}, const Tensor& sum = {});

bool has_norm_backward(ScalarType type);

// LayerNorm of drop(input) + residual, all of one type; residual may be undefined.
Tensor norm(const Tensor& input, const Tensor& residual, const Tensor& weight, const Tensor& bias, double eps,
            const HiddenDrop& drop = {});

// All of one type; residual may be undefined. The result does not depend on the number of threads. With a
// dropout of the input `input` of the result is its gradient, `sum` that of the residual. Where the input is
// the sum itself, nothing is dropped from it.
NormGradients norm_backward(const Tensor& grad_output, const Tensor& input, const Tensor& residual,
                            const Tensor& weight, double eps, const HiddenDrop& drop = {},
                            bool of_sum = false);

}  // namespace longformer::cpu
