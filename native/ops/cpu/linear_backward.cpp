#include "linear_backward.h"

#include "few_rows_problem.h"
#include "multiply.h"
#include "products.h"

namespace longformer::cpu {

bool multiplies(const Tensor& a, const Tensor& b) {
  return a.is_cpu() && has_product(a.scalar_type()) && a.size(0) > kFewRows && a.size(1) > 0 && b.size(0) > 0;
}

Tensor matrix_product(const Tensor& a, const Tensor& b, const Tensor& bias, const Tensor& memory) {
  Product p;
  p.input = a;
  if (bias.defined()) p.bias = bias.contiguous();
  p.out = memory.defined() ? memory : empty({a.size(0), b.size(0)}, a.options());
  multiply_plain(p, b);
  return p.out;
}

std::tuple<Tensor, Tensor> matrix_product_and_row_sums(const Tensor& a, const Tensor& b) {
  Product p;
  p.input = a;
  p.row_sums = empty({a.size(0)}, kFloat);
  p.out = empty({a.size(0), b.size(0)}, a.options());
  multiply_plain(p, b);
  return {p.out, p.row_sums.to(a.scalar_type())};
}

void add_matrix_product(const Tensor& a, const Tensor& b, const Tensor& to) {
  Product p;
  p.input = a;
  p.out = p.residual = to;
  multiply_plain(p, b);
}

}  // namespace longformer::cpu
