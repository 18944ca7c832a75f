// longformer::linear on a few rows with the weight as it lies: the steps of token-by-token decoding.
#pragma once
#include <ATen/core/Tensor.h>

#include "few_rows_problem.h"

namespace longformer::cpu {

// Whether there are so few rows of a type that the kernels know.
bool has_few_rows(const at::Tensor& input, const at::Tensor& weight);

// activation(input . weight^T + bias) + residual into out (contiguous, may be the residual). Arguments are
// checked; bias and residual may be undefined, residual is contiguous.
void few_rows_linear(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias,
                     Activation activation, const at::Tensor& residual, const at::Tensor& out);

}  // namespace longformer::cpu
