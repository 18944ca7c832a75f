// longformer::linear_pack, linear and _linear_into on a CPU. A few rows are multiplied with the weight where
// it lies (few_rows_linear.h) unless it is given packed; more in float32 by kernels of our own (multiply.h),
// which read bfloat16 and float16 on the way. In bfloat16 libtorch's oneDNN multiplies where the processor
// has instructions for it; elsewhere oneDNN's own bfloat16 is about four times slower than float32 (25
// against 110 GFLOP/s on one core of a Cascade Lake). float64: ATen.
#include <algorithm>

#include "../../torch/onednn.h"
#include "../operators.h"
#include "driver.h"
#include "few_rows_linear.h"
#include "multiply.h"
#include "products.h"

namespace longformer {
namespace cpu {

bool by_bfloat16_instructions(ScalarType type) {
  return type == kBFloat16 && has_bfloat16_products() && torch::has_onednn();
}

bool has_product(ScalarType type) {
  return type == kFloat || type == kBFloat16 || type == kHalf;
}

}  // namespace cpu

namespace {

// Rows that a thread gives to oneDNN at once: what comes behind the product finds them in its cache.
constexpr int64_t kOneDnnRows = 256;

bool is_packed(const OptionalTensor& packed) {
  return given(packed) && packed->numel() > 0;
}
bool by_few_rows(const Tensor& input, const Tensor& weight, const OptionalTensor& packed) {
  return !is_packed(packed) && cpu::has_few_rows(input, weight);
}

cpu::Activation activation_of(std::string_view name) {
  if (name == "none") return cpu::Activation::none;
  if (name == "gelu") return cpu::Activation::gelu;
  if (name == "gelu_tanh") return cpu::Activation::gelu_tanh;
  if (name == "relu") return cpu::Activation::relu;
  if (name == "tanh") return cpu::Activation::tanh;
  LONGFORMER_CHECK_VALUE(false,
                         "longformer::linear: activation must be \"none\", \"gelu\", \"gelu_tanh\", \"relu\" "
                         "or \"tanh\", got \"",
                         name, "\"");
  return cpu::Activation::none;
}

void check_same_type(const char* name, const Tensor& t, const Tensor& input) {
  LONGFORMER_CHECK_VALUE(t.scalar_type() == input.scalar_type(), "longformer::linear: ", name, " must be ",
                         input.scalar_type(), " like input, got ", t.scalar_type());
}

std::vector<int64_t> output_shape(const Tensor& input, const Tensor& weight) {
  LONGFORMER_CHECK_VALUE(weight.dim() == 2, "longformer::linear: weight must be [outputs, inputs], got ",
                         weight.sizes());
  LONGFORMER_CHECK_VALUE(input.dim() >= 1 && input.size(-1) == weight.size(1),
                         "longformer::linear: input must be [..., ", weight.size(1), "] for weight ",
                         weight.sizes(), ", got ", input.sizes());
  std::vector<int64_t> shape = input.sizes().vec();
  shape.back() = weight.size(0);
  return shape;
}

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

void multiply_into(const Tensor& input, const Tensor& weight, const OptionalTensor& bias,
                   const OptionalTensor& packed, std::string_view activation, const OptionalTensor& residual,
                   const Tensor& out) {
  const cpu::Activation function = activation_of(activation);
  check_same_type("weight", weight, input);
  if (given(bias)) {
    check_same_type("bias", *bias, input);
    LONGFORMER_CHECK_VALUE(bias->dim() == 1 && bias->size(0) == weight.size(0),
                           "longformer::linear: bias must be [", weight.size(0), "], got ", bias->sizes());
  }
  if (given(residual)) {
    check_same_type("residual", *residual, input);
    LONGFORMER_CHECK_VALUE(residual->sizes() == out.sizes(), "longformer::linear: residual must be ",
                           out.sizes(), ", got ", residual->sizes());
  }
  if (out.numel() == 0) return;

  const Tensor y = out.is_contiguous() ? out : empty(out.sizes(), out.options());
  const Tensor b = given(bias) ? bias->contiguous() : Tensor(),
               r = given(residual) ? residual->contiguous() : Tensor();
  const int64_t inputs = weight.size(1), outputs = weight.size(0);
  if (by_few_rows(input, weight, packed)) {
    cpu::few_rows_linear(input, weight, b, function, r, y);
  } else if (cpu::by_bfloat16_instructions(input.scalar_type())) {
    LONGFORMER_CHECK_VALUE(
        !is_packed(packed) || (packed->scalar_type() == kBFloat16 && packed->sizes() == weight.sizes()),
        "longformer::linear: packed must be linear_pack(weight), ", weight.sizes(), ", got ",
        given(packed) ? packed->sizes() : IntList());
    multiply_by_onednn(input.reshape({-1, inputs}), is_packed(packed) ? *packed : weight.contiguous(), b,
                       function, r, y);
  } else {
    const int64_t numel = cpu::packed_numel(inputs, outputs);
    LONGFORMER_CHECK_VALUE(
        !is_packed(packed) || (packed->scalar_type() == kFloat && packed->is_strided() &&
                               packed->is_contiguous() && packed->dim() == 1 && packed->numel() == numel),
        "longformer::linear: packed must be linear_pack(weight), ", numel, " float32 numbers for weight ",
        weight.sizes(), ", got ", given(packed) ? packed->sizes() : IntList());
    cpu::multiply({input.reshape({-1, inputs}), is_packed(packed) ? *packed : cpu::pack_weight(weight),
                   outputs, b, function, r, y});
  }
  if (!out.is_same(y)) out.copy_(y);
}

Tensor linear_pack(const Tensor& weight) {
  LONGFORMER_CHECK_VALUE(weight.dim() == 2, "longformer::linear_pack: weight must be [outputs, inputs], got ",
                         weight.sizes());
  if (!cpu::has_product(weight.scalar_type()) || weight.numel() == 0) return empty({0}, weight.options());
  if (cpu::by_bfloat16_instructions(weight.scalar_type())) return torch::onednn_pack(weight.contiguous());
  return cpu::pack_weight(weight);
}

bool by_aten(const Tensor& input, const Tensor& weight) {
  return weight.numel() == 0 || !cpu::has_product(input.scalar_type());
}

Tensor linear_on_cpu(const Tensor& input, const Tensor& weight, const OptionalTensor& bias,
                     const OptionalTensor& packed, std::string_view activation,
                     const OptionalTensor& residual) {
  if (by_aten(input, weight)) return linear_by_aten(input, weight, bias, packed, activation, residual);
  const Tensor out = empty(output_shape(input, weight), input.options());
  multiply_into(input, weight, bias, packed, activation, residual, out);
  return out;
}

// The kernels read the input while they write the result.
void check_apart(const Tensor& out, const Tensor& input) {
  if (!out.is_contiguous() || !input.is_contiguous()) return;
  const char *a = out.data_ptr<char>(), *b = input.data_ptr<char>();
  LONGFORMER_CHECK_VALUE(a + out.nbytes() <= b || b + input.nbytes() <= a,
                         "longformer::linear: out must not lie in the memory of input");
}

void linear_into(const Tensor& input, const Tensor& weight, const OptionalTensor& bias,
                 const OptionalTensor& packed, std::string_view activation, const OptionalTensor& residual,
                 const Tensor& out) {
  const auto check_shape = [&](IntList shape) {
    LONGFORMER_CHECK_VALUE(out.sizes() == shape, "longformer::linear: out must be ", shape, ", got ",
                           out.sizes());
  };
  if (by_aten(input, weight)) {
    const Tensor result = linear_by_aten(input, weight, bias, packed, activation, residual);
    check_shape(result.sizes());
    out.copy_(result);
    return;
  }
  check_shape(output_shape(input, weight));
  check_same_type("out", out, input);
  check_apart(out, input);
  multiply_into(input, weight, bias, packed, activation, residual, out);
}

}  // namespace

LONGFORMER_REGISTER(r) {
  r.impl<linear_pack>(torch::Key::cpu, "linear_pack");
  r.impl<linear_on_cpu>(torch::Key::cpu, "linear");
  r.impl<linear_into>(torch::Key::cpu, "_linear_into");
}

}  // namespace longformer
