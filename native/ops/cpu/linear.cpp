// longformer::linear_pack and linear on a CPU. A few rows are multiplied with the weight where it lies
// (few_rows_linear.h) unless it is given packed; else oneDNN in float32, and in bfloat16 where the processor
// has instructions for it. Where it has none, oneDNN's own bfloat16 is about four times slower than float32
// (25 against 110 GFLOP/s on one core of a Cascade Lake), so bfloat16 and float16 are computed in float32:
// their packed weight is a float32 copy. Without oneDNN, and in float64, ATen. Gradients are not for here:
// ../linear.cpp takes over where one is recorded.
#include <ATen/MemoryOverlap.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "../operators.h"
#include "driver.h"
#include "few_rows_linear.h"
#include "gelu_linear.h"
#include "onednn_linear.h"

namespace longformer {
namespace {

using OptionalTensor = c10::optional<at::Tensor>;

bool given(const OptionalTensor& t) {
  return t.has_value() && t->defined();
}
bool is_packed(const OptionalTensor& packed) {
  return given(packed) && packed->numel() > 0;
}
bool by_few_rows(const at::Tensor& input, const at::Tensor& weight, const OptionalTensor& packed) {
  return !is_packed(packed) && cpu::has_few_rows(input, weight);
}

#if defined(LONGFORMER_HAS_ONEDNN)

bool by_onednn(const at::Tensor& t) {
  return t.scalar_type() == at::kFloat || t.scalar_type() == at::kBFloat16 || t.scalar_type() == at::kHalf;
}

at::ScalarType product_scalar(at::ScalarType type) {
  return type == at::kBFloat16 && cpu::onednn_has_fast_bfloat16() ? at::kBFloat16 : at::kFloat;
}
cpu::ProductType product_type(at::ScalarType type) {
  return product_scalar(type) == at::kBFloat16 ? cpu::ProductType::bfloat16 : cpu::ProductType::float32;
}

#else

bool by_onednn(const at::Tensor&) {
  return false;
}

#endif

cpu::Activation activation_of(c10::string_view name) {
  if (name == "none") return cpu::Activation::none;
  if (name == "gelu") return cpu::Activation::gelu;
  if (name == "gelu_tanh") return cpu::Activation::gelu_tanh;
  if (name == "relu") return cpu::Activation::relu;
  if (name == "tanh") return cpu::Activation::tanh;
  TORCH_CHECK_VALUE(false,
                    "longformer::linear: activation must be \"none\", \"gelu\", \"gelu_tanh\", \"relu\" or "
                    "\"tanh\", got \"",
                    name, "\"");
}

void check_same_type(const char* name, const at::Tensor& t, const at::Tensor& input) {
  TORCH_CHECK_VALUE(t.scalar_type() == input.scalar_type(), "longformer::linear: ", name, " must be ",
                    input.scalar_type(), " like input, got ", t.scalar_type());
}

std::vector<int64_t> output_shape(const at::Tensor& input, const at::Tensor& weight) {
  TORCH_CHECK_VALUE(weight.dim() == 2, "longformer::linear: weight must be [outputs, inputs], got ",
                    weight.sizes());
  TORCH_CHECK_VALUE(input.dim() >= 1 && input.size(-1) == weight.size(1),
                    "longformer::linear: input must be [..., ", weight.size(1), "] for weight ",
                    weight.sizes(), ", got ", input.sizes());
  std::vector<int64_t> shape = input.sizes().vec();
  shape.back() = weight.size(0);
  return shape;
}

#if defined(LONGFORMER_HAS_ONEDNN)
void multiply_by_onednn(const at::Tensor& input, const at::Tensor& weight, const OptionalTensor& bias,
                        const OptionalTensor& packed, cpu::Activation activation,
                        const OptionalTensor& residual, const at::Tensor& out) {
  cpu::Product p;
  p.inputs = weight.size(1);
  p.outputs = weight.size(0);
  p.type = product_type(input.scalar_type());
  p.activation = activation;
  const at::ScalarType type = product_scalar(input.scalar_type());
  const auto ready = [type](const at::Tensor& t) { return t.to(type).contiguous(); };
  const at::Tensor x = ready(input), b = given(bias) ? ready(*bias) : at::Tensor(),
                   r = given(residual) ? ready(*residual) : at::Tensor();
  at::Tensor w;
  p.packed = is_packed(packed);
  if (p.packed) {
    w = *packed;
    const int64_t bytes = static_cast<int64_t>(cpu::packed_bytes(p.inputs, p.outputs, p.type));
    TORCH_CHECK_VALUE(w.scalar_type() == at::kByte && w.is_contiguous() && w.numel() == bytes,
                      "longformer::linear: packed must be linear_pack(weight), ", bytes, " bytes for weight ",
                      weight.sizes(), ", got ", w.sizes(), " of ", w.scalar_type());
  } else {
    w = ready(weight);
  }
  p.rows = out.numel() / p.outputs;
  p.input = x.data_ptr();
  p.weight = w.data_ptr();
  p.bias = b.defined() ? b.data_ptr() : nullptr;
  p.residual = r.defined() ? r.data_ptr() : nullptr;
  if (out.is_contiguous()) {
    p.output = out.data_ptr();
    if (cpu::multiply_with_gelu(p, cpu::element_of(out))) return;
  }
  const bool direct = out.scalar_type() == type && out.is_contiguous();
  const at::Tensor y = direct ? out : at::empty(out.sizes(), out.options().dtype(type));
  p.output = y.data_ptr();
  cpu::multiply(p);
  if (!direct) out.copy_(y);
}
#endif

void multiply_into(const at::Tensor& input, const at::Tensor& weight, const OptionalTensor& bias,
                   const OptionalTensor& packed, c10::string_view activation, const OptionalTensor& residual,
                   const at::Tensor& out) {
  const cpu::Activation function = activation_of(activation);
  check_same_type("weight", weight, input);
  if (given(bias)) {
    check_same_type("bias", *bias, input);
    TORCH_CHECK_VALUE(bias->dim() == 1 && bias->size(0) == weight.size(0),
                      "longformer::linear: bias must be [", weight.size(0), "], got ", bias->sizes());
  }
  if (given(residual)) {
    check_same_type("residual", *residual, input);
    TORCH_CHECK_VALUE(residual->sizes() == out.sizes(), "longformer::linear: residual must be ", out.sizes(),
                      ", got ", residual->sizes());
  }
  if (out.numel() == 0) return;

#if defined(LONGFORMER_HAS_ONEDNN)
  if (!by_few_rows(input, weight, packed))
    return multiply_by_onednn(input, weight, bias, packed, function, residual, out);
#endif
  const at::Tensor y =
      out.is_contiguous() ? out : at::empty(out.sizes(), out.options(), at::MemoryFormat::Contiguous);
  cpu::few_rows_linear(input, weight, given(bias) ? *bias : at::Tensor(), function,
                       given(residual) ? residual->contiguous() : at::Tensor(), y);
  if (!out.is_same(y)) out.copy_(y);
}

#if defined(LONGFORMER_HAS_ONEDNN)
at::Tensor linear_pack(const at::Tensor& weight) {
  TORCH_CHECK_VALUE(weight.dim() == 2, "longformer::linear_pack: weight must be [outputs, inputs], got ",
                    weight.sizes());
  if (!by_onednn(weight) || weight.numel() == 0) return at::empty({0}, weight.options());
  const at::Tensor plain = weight.to(product_scalar(weight.scalar_type())).contiguous();
  const cpu::ProductType type = product_type(weight.scalar_type());
  const int64_t bytes = static_cast<int64_t>(cpu::packed_bytes(weight.size(1), weight.size(0), type));
  at::Tensor packed = at::empty({bytes}, weight.options().dtype(at::kByte));
  cpu::pack_weight(plain.data_ptr(), weight.size(1), weight.size(0), type, packed.data_ptr());
  return packed;
}

#else
at::Tensor linear_pack(const at::Tensor& weight) {
  return at::empty({0}, weight.options());
}
#endif

bool by_aten(const at::Tensor& input, const at::Tensor& weight, const OptionalTensor& packed) {
  return weight.numel() == 0 || !(by_onednn(input) || by_few_rows(input, weight, packed));
}

at::Tensor linear(const at::Tensor& input, const at::Tensor& weight, const OptionalTensor& bias,
                  const OptionalTensor& packed, c10::string_view activation, const OptionalTensor& residual) {
  if (by_aten(input, weight, packed))
    return linear_by_aten(input, weight, bias, packed, activation, residual);
  const at::Tensor out =
      at::empty(output_shape(input, weight), input.options().memory_format(at::MemoryFormat::Contiguous));
  multiply_into(input, weight, bias, packed, activation, residual, out);
  return out;
}

at::Tensor& linear_out(const at::Tensor& input, const at::Tensor& weight, const OptionalTensor& bias,
                       const OptionalTensor& packed, c10::string_view activation,
                       const OptionalTensor& residual, at::Tensor& out) {
  if (by_aten(input, weight, packed)) {
    const at::Tensor result = linear_by_aten(input, weight, bias, packed, activation, residual);
    TORCH_CHECK_VALUE(out.sizes() == result.sizes(), "longformer::linear: out must be ", result.sizes(),
                      ", got ", out.sizes());
    return out.copy_(result);
  }
  const std::vector<int64_t> shape = output_shape(input, weight);
  TORCH_CHECK_VALUE(out.sizes() == at::IntArrayRef(shape), "longformer::linear: out must be ",
                    at::IntArrayRef(shape), ", got ", out.sizes());
  check_same_type("out", out, input);
  at::assert_no_overlap(out, input);
  multiply_into(input, weight, bias, packed, activation, residual, out);
  return out;
}

}  // namespace

TORCH_LIBRARY_IMPL(longformer, CPU, m) {
  m.impl("linear_pack", TORCH_FN(linear_pack));
  m.impl("linear", TORCH_FN(linear));
  m.impl("linear.out", TORCH_FN(linear_out));
}

}  // namespace longformer
