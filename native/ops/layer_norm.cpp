// add_layer_norm by operators of libtorch, and its gradient. The forward kernels of the devices are in
// cpu/layer_norm.cpp and cuda/layer_norm.cpp.
#include "backward.h"
#include "cpu/norm_backward.h"
#include "operators.h"

namespace longformer {

Tensor add_layer_norm_by_aten(const Tensor& input, const Tensor& residual, const Tensor& weight,
                              const Tensor& bias, double eps) {
  return layer_norm(residual.defined() ? input + residual : input, weight, bias, eps);
}

namespace {

NormGradients norm_backward_by_aten(const Tensor& grad_output, const Tensor& sum, const Tensor& weight,
                                    double eps) {
  const ScalarType type = compute_type(sum);
  const int64_t columns = sum.size(-1);
  const double one_of_them = 1.0 / static_cast<double>(columns);
  const Tensor x = sum.to(type).reshape({-1, columns}), g = grad_output.to(type).reshape({-1, columns});
  const Tensor centred = x - x.sum(1, true) * one_of_them;
  const Tensor factor = ((centred * centred).sum(1, true) * one_of_them).add(eps).rsqrt();
  const Tensor normal = centred * factor, slope = g * weight.to(type);
  const Tensor grad = factor * (slope - slope.sum(1, true) * one_of_them -
                                normal * ((slope * normal).sum(1, true) * one_of_them));
  return {grad.to(sum.scalar_type()).view(sum.sizes()), (g * normal).sum(0).to(weight.scalar_type()),
          g.sum(0).to(weight.scalar_type())};
}

}  // namespace

NormGradients add_layer_norm_backward(const Tensor& grad_output, const Tensor& input, const Tensor& residual,
                                      const Tensor& weight, double eps) {
  if (input.numel() == 0) return {empty_like(input), zeros_like(weight), zeros_like(weight)};
  const auto like_input = [&](const Tensor& t) {
    return t.scalar_type() == input.scalar_type() && t.is_cpu();
  };
  if (input.is_cpu() && cpu::has_norm_backward(input.scalar_type()) && like_input(grad_output) &&
      like_input(weight) && (!residual.defined() || like_input(residual)))
    return cpu::norm_backward(grad_output, input, residual, weight, eps);
  // The forward pass normalizes the sum before it is rounded to 16 bits.
  const ScalarType type = compute_type(input);
  const Tensor sum = residual.defined() ? input.to(type) + residual.to(type) : input;
  NormGradients g = norm_backward_by_aten(grad_output, sum, weight, eps);
  g.sum = g.sum.to(input.scalar_type());
  return g;
}

namespace {

std::tuple<Tensor, Tensor, Tensor> backward_operator(const Tensor& grad_output, const Tensor& input,
                                                     const OptionalTensor& residual, const Tensor& weight,
                                                     double eps) {
  constexpr const char* op = "_add_layer_norm_backward";
  check_layer_norm(op, input, residual, weight, Tensor());
  check_layer_norm_gradient(op, grad_output, input, residual);
  NormGradients g = add_layer_norm_backward(grad_output, input, or_none(residual), weight, eps);
  return {std::move(g.sum), std::move(g.weight), std::move(g.bias)};
}

}  // namespace

LONGFORMER_REGISTER(r) {
  r.impl<backward_operator>("_add_layer_norm_backward");
}

}  // namespace longformer
