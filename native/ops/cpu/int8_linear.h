// Linear layers whose weights are integers of eight bits, each row (output) with a factor:
// weight ~ scale [outputs] * quantized [outputs, inputs], symmetric, -127 .. 127.
#pragma once
#include <tuple>

#include "../../base/tensor.h"
#include "product_problem.h"

namespace longformer::cpu {

// The nearest of such integers to a weight of any floating type, and scale = max|row| / 127.
std::tuple<Tensor, Tensor> quantize_rows(const Tensor& weight);

// Packs a quantized weight for multiply(): in kChar (four to a cell, for VNNI) or kShort (two).
Tensor pack_int8(const Tensor& weight, ScalarType as);
// What this processor multiplies fastest.
ScalarType int8_packed_as();
bool is_packed_int8(const Tensor& packed, int64_t inputs, int64_t outputs);
// The kernels for one of the two forms.
const ProductKernels* int8_kernels(ScalarType packed);

}  // namespace longformer::cpu
