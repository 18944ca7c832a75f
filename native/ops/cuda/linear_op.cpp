// longformer::linear on a CUDA device: products by libtorch (cuBLASLt, which adds the bias, and the tanh GELU
// where libtorch offers it).
#include "../../torch/cuda.h"
#include "../operators.h"

namespace longformer {
namespace {

Tensor linear_cuda(const Tensor& input, const Tensor& weight, const OptionalTensor& bias,
                   const OptionalTensor& packed, std::string_view activation,
                   const OptionalTensor& residual) {
  if (activation == "gelu_tanh" && given(bias) && input.dim() == 2 && weight.dim() == 2) {
    const Tensor x = torch::cuda_linear_gelu(input, weight, *bias);
    if (x.defined()) return given(residual) ? x + *residual : x;
  }
  return linear_by_aten(input, weight, bias, packed, activation, residual);
}

void linear_into(const Tensor& input, const Tensor& weight, const OptionalTensor& bias,
                 const OptionalTensor& packed, std::string_view activation, const OptionalTensor& residual,
                 const Tensor& out) {
  const auto memory = [](const Tensor& t) {
    return static_cast<const char*>(t.data_ptr()) - t.storage_offset() * t.element_size();
  };
  const auto apart = [&](const Tensor& t) { return memory(t) != memory(out); };
  const bool direct = activation == "none" && input.dim() == 2 && weight.dim() == 2 && out.is_contiguous() &&
                      out.dim() == 2 && out.size(0) == input.size(0) && out.size(1) == weight.size(0) &&
                      out.scalar_type() == input.scalar_type() && apart(input) &&
                      (!given(residual) || (apart(*residual) && residual->sizes() == out.sizes() &&
                                            residual->scalar_type() == out.scalar_type()));
  if (direct) {
    torch::linear_into(out, input, weight, given(bias) ? *bias : Tensor());
    if (given(residual)) out.add_(*residual);
    return;
  }
  const Tensor result = linear_cuda(input, weight, bias, packed, activation, residual);
  LONGFORMER_CHECK_VALUE(out.sizes() == result.sizes(), "longformer::linear: out must be ", result.sizes(),
                         ", got ", out.sizes());
  out.copy_(result);
}

// Nothing to pack: an empty tensor, which linear does not look at.
Tensor linear_pack(const Tensor& weight) {
  return empty({0}, weight.options());
}

}  // namespace

LONGFORMER_REGISTER(r) {
  r.impl<linear_cuda>(torch::Key::cuda, "linear");
  r.impl<linear_into>(torch::Key::cuda, "_linear_into");
  r.impl<linear_pack>(torch::Key::cuda, "linear_pack");
}

}  // namespace longformer
