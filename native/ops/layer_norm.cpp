// add_layer_norm by operators of libtorch, and its gradient. The forward kernels of the devices are in
// cpu/layer_norm.cpp and cuda/layer_norm.cpp.
#include "backward.h"
#include "check.h"
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

namespace {

// Tensors that the CPU's kernels of both ways take; any may be undefined.
bool by_cpu_kernel(const Tensor& input, const Tensor& first, const Tensor& second, const Tensor& third) {
  const auto like_input = [&](const Tensor& t) {
    return !t.defined() || (t.scalar_type() == input.scalar_type() && t.is_cpu());
  };
  return input.is_cpu() && cpu::has_norm_backward(input.scalar_type()) && like_input(first) &&
         like_input(second) && like_input(third);
}

}  // namespace

NormGradients add_layer_norm_backward(const Tensor& grad_output, const Tensor& input, const Tensor& residual,
                                      const Tensor& weight, double eps) {
  if (input.numel() == 0) return {empty_like(input), zeros_like(weight), zeros_like(weight)};
  if (by_cpu_kernel(input, grad_output, residual, weight))
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

bool one_shape(const Tensor& input, const Tensor& residual) {
  return !residual.defined() || residual.sizes() == input.sizes();
}

Tensor drop_add_norm(const Tensor& input, const OptionalTensor& residual, const Tensor& weight,
                     const Tensor& bias, double eps, double probability, int64_t seed) {
  constexpr const char* op = "_dropout_add_layer_norm";
  check_layer_norm(op, input, residual, weight, bias);
  check_drop(op, probability);
  const Tensor& r = or_none(residual);
  if (by_cpu_kernel(input, r, weight, bias) && one_shape(input, r))
    return cpu::norm(input, r, weight, bias, eps, hidden_drop_of(probability, seed));
  return layer_norm(
      r.defined() ? hidden_dropout(input, probability, seed) + r : hidden_dropout(input, probability, seed),
      weight, bias, eps);
}

std::tuple<Tensor, Tensor, Tensor, Tensor> drop_add_norm_backward(const Tensor& grad_output,
                                                                  const Tensor& input,
                                                                  const OptionalTensor& residual,
                                                                  const Tensor& weight, double eps,
                                                                  double probability, int64_t seed) {
  constexpr const char* op = "_dropout_add_layer_norm_backward";
  check_layer_norm(op, input, residual, weight, Tensor());
  check_layer_norm_gradient(op, grad_output, input, residual);
  check_drop(op, probability);
  const Tensor& r = or_none(residual);
  NormGradients g;
  if (input.numel() > 0 && by_cpu_kernel(input, grad_output, r, weight) && one_shape(input, r)) {
    g = cpu::norm_backward(grad_output, input, r, weight, eps, hidden_drop_of(probability, seed));
    if (!g.input.defined()) g.input = g.sum.clone();
  } else {
    g = add_layer_norm_backward(grad_output, hidden_dropout(input, probability, seed), r, weight, eps);
    g.input = hidden_dropout(g.sum, probability, seed);
  }
  return {std::move(g.input), std::move(g.sum), std::move(g.weight), std::move(g.bias)};
}

Tensor drop_add_norm_over(const Tensor& input, const Tensor& residual, const Tensor& weight,
                          const Tensor& bias, double eps, double probability, int64_t seed) {
  constexpr const char* op = "_dropout_add_layer_norm_over";
  check_layer_norm(op, input, residual, weight, bias);
  check_drop(op, probability);
  check_same_shape(op, "residual", residual, "input", input);
  if (by_cpu_kernel(input, residual, weight, bias) && input.is_contiguous()) {
    const Tensor out = empty(input.sizes(), input.options());
    cpu::norm_into(input, residual, weight, bias, eps, out, hidden_drop_of(probability, seed), input);
    return out;
  }
  input.copy_(hidden_dropout(input, probability, seed) + residual);
  return layer_norm(input, weight, bias, eps);
}

std::tuple<Tensor, Tensor, Tensor, Tensor> drop_add_norm_over_backward(const Tensor& grad_output,
                                                                       const Tensor& sum,
                                                                       const Tensor& weight, double eps,
                                                                       double probability, int64_t seed) {
  constexpr const char* op = "_dropout_add_layer_norm_over_backward";
  check_layer_norm(op, sum, OptionalTensor(), weight, Tensor());
  check_layer_norm_gradient(op, grad_output, sum, OptionalTensor());
  check_drop(op, probability);
  NormGradients g;
  if (sum.numel() > 0 && by_cpu_kernel(sum, grad_output, weight, Tensor()))
    g = cpu::norm_backward(grad_output, sum, Tensor(), weight, eps, hidden_drop_of(probability, seed), true);
  else
    g = add_layer_norm_backward(grad_output, sum, Tensor(), weight, eps);
  if (!g.input.defined())
    g.input = probability == 0 ? g.sum.clone() : hidden_dropout(g.sum, probability, seed);
  return {std::move(g.input), std::move(g.sum), std::move(g.weight), std::move(g.bias)};
}

}  // namespace

LONGFORMER_REGISTER(r) {
  r.impl<drop_add_norm_over>("_dropout_add_layer_norm_over");
  r.impl<drop_add_norm_over_backward>("_dropout_add_layer_norm_over_backward");
  r.impl<backward_operator>("_add_layer_norm_backward");
  r.impl<drop_add_norm>("_dropout_add_layer_norm");
  r.impl<drop_add_norm_backward>("_dropout_add_layer_norm_backward");
}

}  // namespace longformer
