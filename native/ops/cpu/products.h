// Which products the kernels of multiply.h compute.
#pragma once
#include "../../base/tensor.h"

namespace longformer::cpu {

// bfloat16 where the processor multiplies it by instructions of its own and libtorch has oneDNN, which uses
// them.
bool by_bfloat16_instructions(ScalarType type);
// float32, bfloat16 and float16.
bool has_product(ScalarType type);
// Whether linear_pack gives such a tensor for a weight like this one.
bool is_packed_form_of(const Tensor& packed, const Tensor& weight);

}  // namespace longformer::cpu
