// longformer::activation and its gradient, by the kernels of cpu/product.h and cuda/activation_kernel.h, else
// by operators of libtorch. 16-bit types are computed in float32. libtorch's own gelu is not called, since
// libtorch 2.10 does not free its text argument (torch/aten.cpp).
#include <cmath>

#include "cpu/multiply.h"
#include "cpu/products.h"
#include "cuda/activation.h"
#include "operators.h"

namespace longformer {
namespace {

constexpr double kGeluCube = 0.044715, kGeluSlope = 0.7978845608028654;  // sqrt(2 / pi): with tanh
constexpr double kNormalDensity = 0.3989422804014327;                    // 1 / sqrt(2 pi)

bool by_cpu_kernel(const Tensor& input) {
  return input.is_cpu() && cpu::has_product(input.scalar_type());
}

// Phi(x), the normal distribution function.
Tensor normal(const Tensor& x) {
  return (x * std::sqrt(0.5)).erf().add(1.0) * 0.5;
}

// u of the formula with tanh: gelu(x) is about x (1 + tanh(u)) / 2.
Tensor inner_of_tanh(const Tensor& x) {
  return x * (x * x).mul(kGeluCube).add(1.0) * kGeluSlope;
}

Tensor of_floats(const Tensor& x, Activation function) {
  switch (function) {
    case Activation::gelu:
      return x * normal(x);
    case Activation::gelu_tanh:
      return x * inner_of_tanh(x).tanh().add(1.0) * 0.5;
    case Activation::relu:
      return x.relu();
    case Activation::tanh:
      return x.tanh();
    case Activation::silu:
      return x * x.sigmoid();
    case Activation::none:
      break;
  }
  return x.clone();
}

// The derivative at x.
Tensor derivative(const Tensor& x, Activation function) {
  switch (function) {
    case Activation::relu:
      return x.gt(0).to(x.scalar_type());
    case Activation::tanh: {
      const Tensor y = x.tanh();
      return (y * y).neg().add(1.0);
    }
    case Activation::silu: {
      const Tensor s = x.sigmoid();
      return s * (x * s.neg().add(1.0)).add(1.0);
    }
    case Activation::gelu_tanh: {
      const Tensor t = inner_of_tanh(x).tanh();
      const Tensor slope = (x * x).mul(3 * kGeluCube).add(1.0) * kGeluSlope;
      return (t + x * slope * (t * t).neg().add(1.0)).add(1.0) * 0.5;
    }
    case Activation::gelu:
      return normal(x) + x * (x * x).mul(-0.5).exp() * kNormalDensity;
    case Activation::none:
      break;
  }
  return ones(x.sizes(), x.options());
}

}  // namespace

Tensor activate_by_aten(const Tensor& input, Activation function) {
  return of_floats(input.to(compute_type(input)), function).to(input.scalar_type());
}

Tensor activate(const Tensor& input, Activation function) {
  if (function == Activation::none) return input;
  if (by_cpu_kernel(input)) {
    const Tensor out = empty(input.sizes(), input.options());
    cpu::activate_into(input.contiguous(), function, Tensor(), out);
    return out;
  }
  return input.is_cuda() ? activate_on_cuda(input, function) : activate_by_aten(input, function);
}

namespace {

Tensor activation(const Tensor& input, std::string_view name) {
  const Activation function = check_activation("activation", input, name);
  return function == Activation::none ? input.clone() : activate(input, function);
}

Tensor activation_backward(const Tensor& grad_output, const Tensor& input, std::string_view name) {
  const Activation function = check_activation("_activation_backward", input, name);
  check_activation_gradient("_activation_backward", grad_output, input);
  return activate_backward(grad_output, input, function, Tensor());
}

}  // namespace

Tensor activate_backward(const Tensor& grad_output, const Tensor& input, Activation function,
                         const Tensor& memory) {
  if (by_cpu_kernel(input)) {
    const Tensor out = memory.defined() ? memory : empty(input.sizes(), input.options());
    cpu::activate_backward_into(grad_output.contiguous(), input.contiguous(), function, out);
    return out;
  }
  return input.is_cuda() ? activate_backward_on_cuda(grad_output, input, function)
                         : activate_backward_by_aten(grad_output, input, function);
}

Tensor activate_backward_by_aten(const Tensor& grad_output, const Tensor& input, Activation function) {
  const ScalarType type = compute_type(input);
  return (grad_output.to(type) * derivative(input.to(type), function)).to(input.scalar_type());
}

LONGFORMER_REGISTER(r) {
  r.impl<activation>("activation");
  r.impl<activation_backward>("_activation_backward");
}

}  // namespace longformer
