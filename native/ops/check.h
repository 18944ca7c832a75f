// Checks that check_attention.cpp and check_layers.cpp share. Each throws ValueError; the message names
// the operator, the argument, what is expected and what was given.
#pragma once
#include "operators.h"

namespace longformer {

// Requires a dense tensor of float32, float64, bfloat16 or float16.
void check_floating(const char* op, const char* name, const Tensor& t);
// Requires a dense tensor with the dtype and the device of the reference.
void check_same_kind(const char* op, const char* name, const Tensor& t, const char* reference_name,
                     const Tensor& reference);
// Requires the reference's shape as well.
void check_same_shape(const char* op, const char* name, const Tensor& t, const char* reference_name,
                      const Tensor& reference);

}  // namespace longformer
