// The gradient of add_layer_norm on a CPU.
#pragma once
#include "../backward.h"

namespace longformer::cpu {

bool has_norm_backward(ScalarType type);

// All of one type; residual may be undefined. The result does not depend on the number of threads.
NormGradients norm_backward(const Tensor& grad_output, const Tensor& input, const Tensor& residual,
                            const Tensor& weight, double eps);

}  // namespace longformer::cpu
