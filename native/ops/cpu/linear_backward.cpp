#include "linear_backward.h"

#include "few_rows_problem.h"
#include "multiply.h"
#include "products.h"

namespace longformer::cpu {

bool multiplies(const Tensor& a, const Tensor& b) {
  return a.is_cpu() && has_product(a.scalar_type()) && !by_onednn(a.scalar_type()) &&
         a.size(0) > kFewRows && a.size(1) > 0 && b.size(0) > 0;
}

Tensor matrix_product(const Tensor& a, const Tensor& b, const Tensor& bias) {
  Product p;
  p.input = a;
  p.packed = pack_weight(b, packed_as(a.scalar_type()));
  p.outputs = b.size(0);
  if (bias.defined()) p.bias = bias.contiguous();
  p.out = empty({a.size(0), p.outputs}, a.options());
  multiply(p);
  return p.out;
}

}  // namespace longformer::cpu
