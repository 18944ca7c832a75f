// longformer::linear_pack, linear and _linear_into on a CPU. A few rows are multiplied with the weight where
// it is (few_rows_linear.h) unless it is given packed; more in float32 by kernels of our own (multiply.h),
// which read bfloat16 and float16 on the way, or multiply bfloat16 by the processor's instructions for it.
// Where it has some for whole tiles of bfloat16 (AMX), libtorch's oneDNN multiplies. float64: ATen.
#include <algorithm>

#include "../../torch/onednn.h"
#include "../operators.h"
#include "driver.h"
#include "few_rows_linear.h"
#include "isa.h"
#include "multiply.h"
#include "products.h"

namespace longformer {
namespace cpu {

bool by_onednn(ScalarType type) {
  return type == kBFloat16 && has_bfloat16_tiles() && active_isa() == Isa::avx512 && torch::has_onednn();
}

bool has_product(ScalarType type) {
  return type == kFloat || type == kBFloat16 || type == kHalf;
}

bool is_packed_form_of(const Tensor& packed, const Tensor& weight) {
  if (by_onednn(weight.scalar_type()))
    return packed.scalar_type() == kBFloat16 && packed.sizes() == weight.sizes();
  return is_packed(packed, packed_as(weight.scalar_type()), weight.size(1), weight.size(0));
}

}  // namespace cpu

namespace {

// Rows that a thread gives to oneDNN at once: the steps behind the product find them in its cache.
constexpr int64_t kOneDnnRows = 256;

// input [rows, inputs], out contiguous.
void multiply_by_onednn(const Tensor& input, const Tensor& weight, const Tensor& bias,
                        cpu::Activation activation, const Tensor& residual, const Tensor& out) {
  const Tensor x = input.contiguous();
  const int64_t rows = x.size(0), threads = get_num_threads();
  const Tensor y = out.view({rows, -1}), r = residual.defined() ? residual.view({rows, -1}) : Tensor();
  const int64_t pieces = (rows + kOneDnnRows - 1) / kOneDnnRows;
  if (pieces < 2 * threads) {
    cpu::activate_into(torch::onednn_linear(x, weight, bias), activation, r, y);
    return;
  }
  cpu::for_each_unit(pieces, [&](int64_t i) {
    const int64_t first = i * kOneDnnRows, count = std::min(kOneDnnRows, rows - first);
    const auto part = [&](const Tensor& t) { return t.defined() ? t.narrow(0, first, count) : t; };
    cpu::activate_into(torch::onednn_linear(part(x), weight, bias), activation, part(r), part(y));
  });
}

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
  } else if (cpu::by_onednn(input.scalar_type())) {
    multiply_by_onednn(input.reshape({-1, inputs}), packed ? linear.packed : weight.contiguous(), b,
                       linear.activation, r, y);
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
  if (cpu::by_onednn(weight.scalar_type())) return torch::onednn_pack(weight.contiguous());
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
