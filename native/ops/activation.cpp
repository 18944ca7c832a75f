// longformer::activation and its gradient. On a CPU by the kernels of cpu/product.h where they know the type,
// elsewhere from libtorch's operators, in float32 for 16-bit types.
#include "cpu/multiply.h"
#include "cpu/products.h"
#include "operators.h"

namespace longformer {
namespace {

constexpr double kGeluCube = 0.044715,
                 kGeluSlope = 0.7978845608028654;  // sqrt(2 / pi), of the formula with tanh

cpu::Activation activation_of(const char* op, std::string_view name) {
  using cpu::Activation;
  if (name == "none") return Activation::none;
  if (name == "gelu") return Activation::gelu;
  if (name == "gelu_tanh") return Activation::gelu_tanh;
  if (name == "relu") return Activation::relu;
  if (name == "tanh") return Activation::tanh;
  LONGFORMER_CHECK_VALUE(
      name == "silu", "longformer::", op,
      ": activation must be \"none\", \"gelu\", \"gelu_tanh\", \"relu\", \"tanh\" or \"silu\", got \"", name,
      "\"");
  return Activation::silu;
}

void check_floating(const char* op, const Tensor& input) {
  LONGFORMER_CHECK_VALUE(input.is_floating_point(), "longformer::", op,
                         ": input must be of a floating point type, got ", input.scalar_type());
}

bool by_kernel(const Tensor& input) {
  return input.is_cpu() && cpu::has_product(input.scalar_type());
}

Tensor activation(const Tensor& input, std::string_view name) {
  using cpu::Activation;
  check_floating("activation", input);
  const Activation function = activation_of("activation", name);
  if (by_kernel(input)) {
    const Tensor out = empty(input.sizes(), input.options());
    cpu::activate_into(input.contiguous(), function, Tensor(), out);
    return out;
  }
  switch (function) {
    case Activation::gelu:
      return input.gelu(/*by_tanh=*/false);
    case Activation::gelu_tanh:
      return input.gelu(/*by_tanh=*/true);
    case Activation::relu:
      return input.relu();
    case Activation::tanh:
      return input.tanh();
    case Activation::silu: {
      const Tensor x = input.to(compute_type(input));
      return (x * x.sigmoid()).to(input.scalar_type());
    }
    case Activation::none:
      break;
  }
  return input.clone();
}

// The derivative at x.
Tensor derivative(const Tensor& x, cpu::Activation function) {
  using cpu::Activation;
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
      const Tensor square = x * x, t = (x * square.mul(kGeluCube).add(1.0) * kGeluSlope).tanh();
      const Tensor slope = square.mul(3 * kGeluCube).add(1.0) * kGeluSlope;
      return (t + x * slope * (t * t).neg().add(1.0)).add(1.0) * 0.5;
    }
    case Activation::gelu:
      return gelu_backward(ones(x.sizes(), x.options()), x, /*by_tanh=*/false);
    case Activation::none:
      break;
  }
  return ones(x.sizes(), x.options());
}

Tensor activation_backward(const Tensor& grad_output, const Tensor& input, std::string_view name) {
  check_floating("_activation_backward", input);
  const cpu::Activation function = activation_of("_activation_backward", name);
  LONGFORMER_CHECK_VALUE(grad_output.sizes() == input.sizes() &&
                             grad_output.scalar_type() == input.scalar_type() &&
                             grad_output.device() == input.device(),
                         "longformer::_activation_backward: grad_output must be ", input.scalar_type(), " ",
                         input.sizes(), " on ", input.device(), " like input, got ",
                         grad_output.scalar_type(), " ", grad_output.sizes(), " on ", grad_output.device());
  if (by_kernel(input)) {
    const Tensor out = empty(input.sizes(), input.options());
    cpu::activate_backward_into(grad_output.contiguous(), input.contiguous(), function, out);
    return out;
  }
  const ScalarType type = compute_type(input);
  return (grad_output.to(type) * derivative(input.to(type), function)).to(input.scalar_type());
}

}  // namespace

LONGFORMER_REGISTER(r) {
  r.impl<activation>("activation");
  r.impl<activation_backward>("_activation_backward");
}

}  // namespace longformer
