// Says which products the kernels of multiply.h compute.
#pragma once
#include "../../base/tensor.h"

namespace longformer::cpu {

// Whether the type is bfloat16, the processor multiplies whole tiles of it, and libtorch has oneDNN, which
// uses them.
bool by_onednn(ScalarType type);
// Whether the type is float32, bfloat16 or float16.
bool has_product(ScalarType type);
// Whether linear_pack gives such a tensor for a weight like this one.
bool is_packed_form_of(const Tensor& packed, const Tensor& weight);

}  // namespace longformer::cpu
