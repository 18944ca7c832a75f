// longformer::linear on a CUDA device: products by libtorch (cuBLASLt, which adds the bias, and the tanh GELU
// where libtorch offers it).
#include "../../torch/cuda.h"
#include "../operators.h"

namespace longformer {
namespace {

Tensor multiply(const Linear& linear) {
  if (linear.activation == Activation::gelu_tanh && linear.bias.defined() && linear.input.dim() == 2) {
    const Tensor x = torch::cuda_linear_gelu(linear.input, linear.weight, linear.bias);
    if (x.defined()) return linear.residual.defined() ? x + linear.residual : x;
  }
  return linear_by_aten(linear);
}

Tensor linear_on_cuda(const Tensor& input, const Tensor& weight, const OptionalTensor& bias,
                      const OptionalTensor& packed, std::string_view activation,
                      const OptionalTensor& residual) {
  return multiply(check_linear("linear", input, weight, bias, packed, activation, residual));
}

void linear_into(const Tensor& input, const Tensor& weight, const OptionalTensor& bias,
                 const OptionalTensor& packed, std::string_view activation, const OptionalTensor& residual,
                 const Tensor& out) {
  const Linear linear = check_linear("_linear_into", input, weight, bias, packed, activation, residual);
  check_out("_linear_into", out, linear.shape, input);
  const auto memory = [](const Tensor& t) {
    return static_cast<const char*>(t.data_ptr()) - t.storage_offset() * t.element_size();
  };
  const auto apart = [&](const Tensor& t) { return !t.defined() || memory(t) != memory(out); };
  const bool direct = linear.activation == Activation::none && input.dim() == 2 && out.is_contiguous() &&
                      apart(input) && apart(linear.residual);
  if (!direct) {
    out.copy_(multiply(linear));
    return;
  }
  torch::linear_into(out, input, weight, linear.bias);
  if (linear.residual.defined()) out.add_(linear.residual);
}

// Nothing to pack: an empty tensor, which linear does not look at.
Tensor linear_pack(const Tensor& weight) {
  check_linear_pack(weight);
  return empty({0}, weight.options());
}

}  // namespace

LONGFORMER_REGISTER(r) {
  r.impl<linear_on_cuda>(torch::Key::cuda, "linear");
  r.impl<linear_into>(torch::Key::cuda, "_linear_into");
  r.impl<linear_pack>(torch::Key::cuda, "linear_pack");
}

}  // namespace longformer
