// linear by operators of libtorch, and its gradients. The forward kernels of the devices are in
// cpu/linear.cpp and cuda/linear.cpp.
#include "backward.h"
#include "cpu/linear_backward.h"
#include "operators.h"

namespace longformer {

Tensor linear_by_aten(const Linear& linear) {
  const Tensor x = activate(longformer::linear(linear.input, linear.weight, linear.bias), linear.activation);
  return linear.residual.defined() ? x + linear.residual : x;
}

LinearGradients linear_backward(const Tensor& grad_output, const Tensor& input, const Tensor& weight,
                                bool need_input, bool need_weight, bool need_bias) {
  const int64_t outputs = weight.size(0), inputs = weight.size(1);
  LinearGradients grads;
  int64_t rows = 1;
  for (const int64_t size : input.sizes().slice(0, input.sizes().size() - 1)) rows *= size;
  if (rows == 0 || outputs == 0 || inputs == 0) {
    if (need_input) grads.input = zeros(input.sizes(), input.options());
    if (need_weight) grads.weight = zeros(weight.sizes(), weight.options());
    if (need_bias) grads.bias = zeros({outputs}, weight.options());
    return grads;
  }
  const Tensor g = grad_output.reshape({rows, outputs}), x = input.reshape({rows, inputs});
  const bool together = need_weight && need_bias && cpu::multiplies(g.t(), x.t());
  // The weight's first: for it the input is packed, which need not be beside the input's gradient.
  if (together) std::tie(grads.weight, grads.bias) = cpu::matrix_product_and_row_sums(g.t(), x.t());
  if (need_weight && !together) grads.weight = matrix_product(g.t(), x.t());
  if (need_bias && !together) grads.bias = g.sum(0);
  if (need_input) grads.input = matrix_product(g, weight.t()).view(input.sizes());
  return grads;
}

Tensor matrix_product(const Tensor& a, const Tensor& b, const Tensor& bias) {
  if (cpu::multiplies(a, b)) return cpu::matrix_product(a, b, bias);
  const Tensor product = matmul(a, b.t());
  return bias.defined() ? product + bias : product;
}

namespace {

void add_product(const Tensor& a, const Tensor& b, const Tensor& to) {
  if (cpu::multiplies(a, b) && to.is_contiguous() && to.scalar_type() == a.scalar_type())
    cpu::add_matrix_product(a, b, to.view({a.size(0), b.size(0)}));
  else
    to.copy_(to + matrix_product(a, b).view(to.sizes()));
}

void linear_backward_into(const Tensor& grad_output, const Tensor& input, const Tensor& weight,
                          const OptionalTensor& grad_input, const OptionalTensor& grad_weight) {
  constexpr const char* op = "_linear_backward_into";
  check_linear_gradient(op, grad_output, input, weight);
  if (grad_input.has_value()) check_out(op, *grad_input, input.sizes(), input);
  if (grad_weight.has_value()) check_out(op, *grad_weight, weight.sizes(), input);
  const int64_t outputs = weight.size(0), inputs = weight.size(1);
  if (grad_output.numel() == 0 || inputs == 0) return;
  const Tensor g = grad_output.reshape({-1, outputs});
  if (grad_input.has_value()) add_product(g, weight.t(), *grad_input);
  if (grad_weight.has_value()) add_product(g.t(), input.reshape({-1, inputs}).t(), *grad_weight);
}

std::tuple<Tensor, Tensor, Tensor> linear_backward_operator(const Tensor& grad_output, const Tensor& input,
                                                            const Tensor& weight, bool need_input,
                                                            bool need_weight, bool need_bias) {
  check_linear_gradient("_linear_backward", grad_output, input, weight);
  LinearGradients g = linear_backward(grad_output, input, weight, need_input, need_weight, need_bias);
  return {std::move(g.input), std::move(g.weight), std::move(g.bias)};
}

// The activation is made again and its memory then takes the gradients in front of it, one after the other:
// with a feed-forward layer's four times wider states two of them at a time would be the most that a pass
// needs.
std::tuple<Tensor, Tensor, Tensor> activated_linear_backward(const Tensor& grad_output, const Tensor& input,
                                                             const Tensor& weight, std::string_view name,
                                                             bool need_weight, bool need_bias,
                                                             const OptionalTensor& grad_weight) {
  constexpr const char* op = "_activated_linear_backward";
  const Activation function = check_activation(op, input, name);
  check_linear_gradient(op, grad_output, input, weight);
  if (grad_weight.has_value()) check_out(op, *grad_weight, weight.sizes(), input);
  const bool adds = grad_weight.has_value();
  Tensor states = function == Activation::none ? input.clone() : activate(input, function);
  LinearGradients g = linear_backward(grad_output, states, weight, false, need_weight && !adds, need_bias);
  if (input.numel() == 0 || grad_output.numel() == 0)
    return {zeros(input.sizes(), input.options()), std::move(g.weight), std::move(g.bias)};
  const Tensor to = grad_output.reshape({-1, weight.size(0)}), from = weight.t();
  if (adds) add_product(to.t(), states.reshape({-1, weight.size(1)}).t(), *grad_weight);
  if (cpu::multiplies(to, from) && states.is_contiguous())
    cpu::matrix_product(to, from, {}, states.view({-1, weight.size(1)}));
  else
    states = matrix_product(to, from).view(input.sizes());
  if (function != Activation::none)
    states = activate_backward(states, input, function, states.is_contiguous() ? states : Tensor());
  return {std::move(states), std::move(g.weight), std::move(g.bias)};
}

}  // namespace

LONGFORMER_REGISTER(r) {
  r.impl<linear_backward_operator>("_linear_backward");
  r.impl<linear_backward_into>("_linear_backward_into");
  r.impl<activated_linear_backward>("_activated_linear_backward");
}

}  // namespace longformer
