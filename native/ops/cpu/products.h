// Says which products the kernels of multiply.h compute.
#pragma once
#include "../../base/tensor.h"

namespace longformer {
struct Linear;
}

namespace longformer::cpu {

// Whether the type is float32, bfloat16 or float16.
bool has_product(ScalarType type);
// Whether linear_pack gives such a tensor for a weight like this one.
bool is_packed_form_of(const Tensor& packed, const Tensor& weight);
// The product by the fastest kernels there are, into a tensor of its shape and type that is none of the
// inputs.
void linear_into(const Linear& linear, const Tensor& out);

}  // namespace longformer::cpu
