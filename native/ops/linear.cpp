// linear from libtorch's operators, and its gradients. The devices' own forward kernels are in cpu/linear.cpp
// and cuda/linear_op.cpp.
#include "backward.h"
#include "cpu/linear_backward.h"
#include "operators.h"

namespace longformer {

Tensor linear_by_aten(const Tensor& input, const Tensor& weight, const OptionalTensor& bias,
                      const OptionalTensor&, std::string_view activation, const OptionalTensor& residual) {
  Tensor x = linear(input, weight, given(bias) ? *bias : Tensor());
  if (activation == "gelu")
    x = x.gelu(/*by_tanh=*/false);
  else if (activation == "gelu_tanh")
    x = x.gelu(/*by_tanh=*/true);
  else if (activation == "relu")
    x = x.relu();
  else if (activation == "tanh")
    x = x.tanh();
  else
    LONGFORMER_CHECK_VALUE(
        activation == "none",
        "longformer::linear: activation must be \"none\", \"gelu\", \"gelu_tanh\", \"relu\" or "
        "\"tanh\", got \"",
        activation, "\"");
  return given(residual) ? x + *residual : x;
}

LinearGradients linear_backward(const Tensor& grad_output, const Tensor& input, const Tensor& weight,
                                bool need_input, bool need_weight, bool need_bias) {
  LONGFORMER_CHECK_VALUE(weight.dim() == 2,
                         "longformer::_linear_backward: weight must be [outputs, inputs], got ",
                         weight.sizes());
  const int64_t outputs = weight.size(0), inputs = weight.size(1);
  LONGFORMER_CHECK_VALUE(input.dim() >= 1 && input.size(-1) == inputs,
                         "longformer::_linear_backward: input must be [..., ", inputs, "] for weight ",
                         weight.sizes(), ", got ", input.sizes());
  std::vector<int64_t> shape = input.sizes().vec();
  shape.back() = outputs;
  LONGFORMER_CHECK_VALUE(grad_output.sizes() == shape, "longformer::_linear_backward: grad_output must be ",
                         IntList(shape), ", got ", grad_output.sizes());
  for (const Tensor* t : {&grad_output, &weight})
    LONGFORMER_CHECK_VALUE(t->scalar_type() == input.scalar_type() && t->device() == input.device(),
                           "longformer::_linear_backward: grad_output and weight must be ",
                           input.scalar_type(), " on ", input.device(), " like input, got ", t->scalar_type(),
                           " on ", t->device());
  LinearGradients grads;
  int64_t rows = 1;
  for (const int64_t size : IntList(shape).slice(0, shape.size() - 1)) rows *= size;
  if (rows == 0 || outputs == 0 || inputs == 0) {
    if (need_input) grads.input = zeros(input.sizes(), input.options());
    if (need_weight) grads.weight = zeros(weight.sizes(), weight.options());
    if (need_bias) grads.bias = zeros({outputs}, weight.options());
    return grads;
  }
  const Tensor g = grad_output.reshape({rows, outputs}), x = input.reshape({rows, inputs});
  if (need_bias) grads.bias = g.sum(0);
  if (need_input) grads.input = matrix_product(g, weight.t()).view(input.sizes());
  if (need_weight) grads.weight = matrix_product(g.t(), x.t());
  return grads;
}

Tensor matrix_product(const Tensor& a, const Tensor& b, const Tensor& bias) {
  if (cpu::multiplies(a, b)) return cpu::matrix_product(a, b, bias);
  const Tensor product = matmul(a, b.t());
  return bias.defined() ? product + bias : product;
}

namespace {

std::tuple<Tensor, Tensor, Tensor> linear_backward_operator(const Tensor& grad_output, const Tensor& input,
                                                            const Tensor& weight, bool need_input,
                                                            bool need_weight, bool need_bias) {
  LinearGradients g = linear_backward(grad_output, input, weight, need_input, need_weight, need_bias);
  return {std::move(g.input), std::move(g.weight), std::move(g.bias)};
}

}  // namespace

LONGFORMER_REGISTER(r) {
  r.impl<linear_backward_operator>("_linear_backward");
}

}  // namespace longformer
