// longformer::linear_pack, linear and _linear_into on a CPU. A few rows are multiplied with the weight where
// it is (few_rows_linear.h) unless it is given packed; more in float32 by kernels of our own (multiply.h),
// which read bfloat16 and float16 on the way, or multiply bfloat16 by the processor's instructions for it.
// float64: ATen.
#include "../operators.h"
#include "driver.h"
#include "few_rows_linear.h"
#include "isa.h"
#include "multiply.h"
#include "products.h"

namespace longformer {
namespace cpu {

bool has_product(ScalarType type) {
  return type == kFloat || type == kBFloat16 || type == kHalf;
}

bool is_packed_form_of(const Tensor& packed, const Tensor& weight) {
  return is_packed(packed, packed_as(weight.scalar_type()), weight.size(1), weight.size(0));
}

}  // namespace cpu

namespace {

bool by_aten(const Linear& linear) {
  return linear.weight.numel() == 0 || !cpu::has_product(linear.input.scalar_type());
}

}  // namespace

void cpu::linear_into(const Linear& linear, const Tensor& out) {
  if (out.numel() == 0) return;
  if (by_aten(linear)) {
    out.copy_(linear_by_aten(linear));
    return;
  }
  const Tensor &input = linear.input, &weight = linear.weight;
  const Tensor y = out.is_contiguous() ? out : empty(out.sizes(), out.options());
  const Tensor b = linear.bias.defined() ? linear.bias.contiguous() : Tensor(),
               r = linear.residual.defined() ? linear.residual.contiguous() : Tensor();
  const int64_t inputs = weight.size(1), outputs = weight.size(0);
  const bool packed = linear.packed.defined() && linear.packed.numel() > 0;
  if (!packed && cpu::has_few_rows(input, weight)) {
    cpu::few_rows_linear(input, weight, b, linear.activation, r, y);
  } else {
    const cpu::Product product = {
        input.reshape({-1, inputs}), linear.packed, outputs, b, linear.activation, r, y};
    if (packed)
      cpu::multiply(product);
    else
      cpu::multiply_plain(product, weight);
  }
  if (!out.is_same(y)) out.copy_(y);
}

namespace {

Tensor linear_pack(const Tensor& weight) {
  check_linear_pack(weight);
  if (!cpu::has_product(weight.scalar_type()) || weight.numel() == 0) return empty({0}, weight.options());
  return cpu::pack_weight(weight, cpu::packed_as(weight.scalar_type()));
}

Tensor linear_on_cpu(const Tensor& input, const Tensor& weight, const OptionalTensor& bias,
                     const OptionalTensor& packed, std::string_view activation,
                     const OptionalTensor& residual) {
  const Linear linear = check_linear("linear", input, weight, bias, packed, activation, residual);
  if (by_aten(linear)) return linear_by_aten(linear);
  const Tensor out = empty(linear.shape, input.options());
  cpu::linear_into(linear, out);
  return out;
}

void linear_into(const Tensor& input, const Tensor& weight, const OptionalTensor& bias,
                 const OptionalTensor& packed, std::string_view activation, const OptionalTensor& residual,
                 const Tensor& out) {
  const Linear linear = check_linear("_linear_into", input, weight, bias, packed, activation, residual);
  check_out("_linear_into", out, linear.shape, input);
  if (!by_aten(linear)) check_apart("_linear_into", out, input);
  cpu::linear_into(linear, out);
}

}  // namespace

LONGFORMER_REGISTER(r) {
  r.impl<linear_pack>(torch::Key::cpu, "linear_pack");
  r.impl<linear_on_cpu>(torch::Key::cpu, "linear");
  r.impl<linear_into>(torch::Key::cpu, "_linear_into");
}

}  // namespace longformer
