// longformer::linear on a few rows, with the weight in its own layout: steps of token-by-token decoding.
#pragma once
#include "../../base/tensor.h"

#include "few_rows_problem.h"

namespace longformer::cpu {

// Whether the rows are so few, and of a type that the kernels take.
bool has_few_rows(const Tensor& input, const Tensor& weight);

// activation(input . weight^T + bias) + residual into out (contiguous, may be the residual). Arguments are
// checked; bias and residual may be undefined, residual is contiguous. With weight_scale [outputs] in float32
// the weight is in int8, each of its rows to be multiplied by one of these.
void few_rows_linear(const Tensor& input, const Tensor& weight, const Tensor& bias, Activation activation,
                     const Tensor& residual, const Tensor& out, const Tensor& weight_scale = {});

}  // namespace longformer::cpu
