// The products of the backward passes on a CPU.
#pragma once
#include "../../base/tensor.h"

namespace longformer::cpu {

// Whether the kernels of multiply.h serve [rows, depth] . [columns, depth]^T of these two better than
// libtorch.
bool multiplies(const Tensor& a, const Tensor& b);
// With a bias [columns] or an undefined one: of their type, contiguous; sums in float32.
Tensor matrix_product(const Tensor& a, const Tensor& b, const Tensor& bias);
// The same added to a contiguous tensor [rows, columns].
void add_matrix_product(const Tensor& a, const Tensor& b, const Tensor& to);

}  // namespace longformer::cpu
