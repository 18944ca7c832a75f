// The products of the backward passes on a CPU.
#pragma once
#include <tuple>

#include "../../base/tensor.h"

namespace longformer::cpu {

// Whether the kernels of multiply.h serve [rows, depth] . [columns, depth]^T of these two better than
// libtorch.
bool multiplies(const Tensor& a, const Tensor& b);
// With a bias [columns] or an undefined one: of their type, contiguous; sums in float32. `memory` receives
// the product where it is defined: [rows, columns] of their type, contiguous, neither of them.
Tensor matrix_product(const Tensor& a, const Tensor& b, const Tensor& bias, const Tensor& memory = {});
// And the sums of a's rows: a gradient's columns, which come by for the weight, are summed for the bias.
std::tuple<Tensor, Tensor> matrix_product_and_row_sums(const Tensor& a, const Tensor& b);
// The product added to a contiguous tensor [rows, columns].
void add_matrix_product(const Tensor& a, const Tensor& b, const Tensor& to);

}  // namespace longformer::cpu
