// longformer::hidden_dropout on a CPU.
#pragma once
#include "../../base/tensor.h"
#include "hidden_keep.h"

namespace longformer::cpu {

bool has_hidden_dropout(ScalarType type);

// Elements whose 24 bits of the mixer reach the threshold, times the factor as their type holds it; zeros
// elsewhere.
Tensor hidden_dropout(const Tensor& input, const HiddenDrop& drop);

}  // namespace longformer::cpu
