// linear and add_layer_norm from ATen's operators: wherever a gradient is recorded, and for shapes without
// data. The devices' own are in cpu/linear.cpp, cpu/layer_norm.cpp and cuda/linear.cpp.

#include "operators.h"

namespace longformer {
namespace {


bool given(const OptionalTensor& t) {
  return t.has_value() && t->defined();
}
bool needs_gradient(const Tensor& t) {
  return t.defined() && t.requires_grad();
}
bool needs_gradient(const OptionalTensor& t) {
  return given(t) && t->requires_grad();
}

}  // namespace

Tensor linear_by_aten(const Tensor& input, const Tensor& weight, const OptionalTensor& bias,
                          const OptionalTensor&, std::string_view activation,
                          const OptionalTensor& residual) {
  Tensor x = linear(input, weight, bias);
  if (activation == "gelu")
    x = at::gelu(x, "none");
  else if (activation == "gelu_tanh")
    x = at::gelu(x, "tanh");
  else if (activation == "relu")
    x = x.relu();
  else if (activation == "tanh")
    x = x.tanh();
  else
    LONGFORMER_CHECK_VALUE(activation == "none",
                      "longformer::linear: activation must be \"none\", \"gelu\", \"gelu_tanh\", "
                      "\"relu\" or \"tanh\", got \"",
                      activation, "\"");
  return given(residual) ? x + *residual : x;
}

namespace {

Tensor& linear_out(const Tensor& input, const Tensor& weight, const OptionalTensor& bias,
                       const OptionalTensor& packed, std::string_view activation,
                       const OptionalTensor& residual, Tensor& out) {
  const Tensor result = linear_by_aten(input, weight, bias, packed, activation, residual);
  LONGFORMER_CHECK_VALUE(out.sizes() == result.sizes(), "longformer::linear: out must be ", result.sizes(),
                    ", got ", out.sizes());
  return out.copy_(result);
}

}  // namespace

Tensor add_layer_norm_by_aten(const Tensor& input, const OptionalTensor& residual,
                                  const Tensor& weight, const Tensor& bias, double eps) {
  return at::layer_norm(given(residual) ? input + *residual : input, weight.sizes(), weight, bias, eps);
}

namespace {

// The kernels of the devices know no gradients: where one is recorded, the differentiable operators above
// take over.
Tensor linear_autograd(const Tensor& input, const Tensor& weight, const OptionalTensor& bias,
                           const OptionalTensor& packed, std::string_view activation,
                           const OptionalTensor& residual) {
  if (at::GradMode::is_enabled() &&
      (needs_gradient(input) || needs_gradient(weight) || needs_gradient(bias) || needs_gradient(residual)))
    return linear_by_aten(input, weight, bias, packed, activation, residual);
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("longformer::linear", "")
                             .typed<decltype(linear_by_aten)>();
  at::AutoDispatchBelowADInplaceOrView guard;
  return op.call(input, weight, bias, packed, activation, residual);
}

Tensor& linear_out_autograd(const Tensor& input, const Tensor& weight, const OptionalTensor& bias,
                                const OptionalTensor& packed, std::string_view activation,
                                const OptionalTensor& residual, Tensor& out) {
  LONGFORMER_CHECK(!at::GradMode::is_enabled() ||
                  !(needs_gradient(input) || needs_gradient(weight) || needs_gradient(bias) ||
                    needs_gradient(residual) || needs_gradient(out)),
              "longformer::linear: out= cannot record a gradient; call linear without it");
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("longformer::linear", "out")
                             .typed<decltype(linear_out)>();
  at::AutoDispatchBelowADInplaceOrView guard;
  return op.call(input, weight, bias, packed, activation, residual, out);
}

Tensor add_layer_norm_autograd(const Tensor& input, const OptionalTensor& residual,
                                   const Tensor& weight, const Tensor& bias, double eps) {
  if (at::GradMode::is_enabled() &&
      (needs_gradient(input) || needs_gradient(residual) || needs_gradient(weight) || needs_gradient(bias)))
    return add_layer_norm_by_aten(input, residual, weight, bias, eps);
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("longformer::add_layer_norm", "")
                             .typed<decltype(add_layer_norm_by_aten)>();
  at::AutoDispatchBelowADInplaceOrView guard;
  return op.call(input, residual, weight, bias, eps);
}

Tensor& add_layer_norm_out(const Tensor& input, const OptionalTensor& residual,
                               const Tensor& weight, const Tensor& bias, double eps,
                               Tensor& out) {
  const Tensor result = add_layer_norm_by_aten(input, residual, weight, bias, eps);
  LONGFORMER_CHECK_VALUE(out.sizes() == result.sizes(), "longformer::add_layer_norm: out must be ", result.sizes(),
                    ", got ", out.sizes());
  return out.copy_(result);
}

Tensor& add_layer_norm_out_autograd(const Tensor& input, const OptionalTensor& residual,
                                        const Tensor& weight, const Tensor& bias, double eps,
                                        Tensor& out) {
  LONGFORMER_CHECK(
      !at::GradMode::is_enabled() || !(needs_gradient(input) || needs_gradient(residual) ||
                                       needs_gradient(weight) || needs_gradient(bias) || needs_gradient(out)),
      "longformer::add_layer_norm: out= cannot record a gradient; call add_layer_norm without it");
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("longformer::add_layer_norm", "out")
                             .typed<decltype(add_layer_norm_out)>();
  at::AutoDispatchBelowADInplaceOrView guard;
  return op.call(input, residual, weight, bias, eps, out);
}

// ATen's layer_norm has no shapes without data in libtorch 1.13.
Tensor add_layer_norm_meta(const Tensor& input, const OptionalTensor&, const Tensor&,
                               const Tensor&, double) {
  return empty_like(input, input.options());
}

}  // namespace

TORCH_LIBRARY_IMPL(longformer, Meta, m) {
  m.impl("linear", TORCH_FN(linear_by_aten));
  m.impl("linear.out", TORCH_FN(linear_out));
  m.impl("add_layer_norm", TORCH_FN(add_layer_norm_meta));
  m.impl("add_layer_norm.out", TORCH_FN(add_layer_norm_out));
}
TORCH_LIBRARY_IMPL(longformer, Autograd, m) {
  m.impl("linear", TORCH_FN(linear_autograd));
  m.impl("linear.out", TORCH_FN(linear_out_autograd));
  m.impl("add_layer_norm", TORCH_FN(add_layer_norm_autograd));
  m.impl("add_layer_norm.out", TORCH_FN(add_layer_norm_out_autograd));
}

}  // namespace longformer
