// linear and add_layer_norm on a CUDA device, below autograd: products by libtorch (cuBLASLt, which adds the
// bias, and the tanh GELU where libtorch offers it), activations and residuals in place, LayerNorm by a
// kernel of our own.
#include <ATen/TensorOperators.h>
#include <ATen/ops/_addmm_activation.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <torch/library.h>

#include "../operators.h"
#include "driver_launcher.h"
#include "layer_norm.h"

namespace longformer {
namespace {

using OptionalTensor = c10::optional<at::Tensor>;

bool given(const OptionalTensor& t) {
  return t.has_value() && t->defined();
}

// x = activation(x) + residual, in place.
void finish(at::Tensor& x, c10::string_view activation, const OptionalTensor& residual) {
  if (activation == "gelu")
    at::gelu_(x, "none");
  else if (activation == "gelu_tanh")
    at::gelu_(x, "tanh");
  else if (activation == "relu")
    x.relu_();
  else if (activation == "tanh")
    x.tanh_();
  else
    TORCH_CHECK_VALUE(activation == "none",
                      "longformer::linear: activation must be \"none\", \"gelu\", \"gelu_tanh\", "
                      "\"relu\" or \"tanh\", got \"",
                      activation, "\"");
  if (given(residual)) x.add_(*residual);
}

at::Tensor linear(const at::Tensor& input, const at::Tensor& weight, const OptionalTensor& bias,
                  const OptionalTensor&, c10::string_view activation, const OptionalTensor& residual) {
  at::Tensor x;
  if (activation == "gelu_tanh" && given(bias) && input.dim() == 2) {
    x = at::_addmm_activation(*bias, input, weight.t(), 1, 1, /*use_gelu=*/true);
    activation = "none";
  } else {
    x = at::linear(input, weight, bias);
  }
  // A residual of another shape or type has the last word on those of the result.
  const bool in_place =
      !given(residual) || (residual->sizes() == x.sizes() && residual->scalar_type() == x.scalar_type());
  finish(x, activation, in_place ? residual : OptionalTensor());
  return in_place ? x : x + *residual;
}

at::Tensor& linear_out(const at::Tensor& input, const at::Tensor& weight, const OptionalTensor& bias,
                       const OptionalTensor& packed, c10::string_view activation,
                       const OptionalTensor& residual, at::Tensor& out) {
  const auto apart = [&](const at::Tensor& t) {
    return t.storage().data_ptr().get() != out.storage().data_ptr().get();
  };
  const bool direct = input.dim() == 2 && weight.dim() == 2 && out.is_contiguous() && out.dim() == 2 &&
                      out.size(0) == input.size(0) && out.size(1) == weight.size(0) &&
                      out.scalar_type() == input.scalar_type() && apart(input) &&
                      (!given(residual) || (apart(*residual) && residual->sizes() == out.sizes() &&
                                            residual->scalar_type() == out.scalar_type()));
  if (direct) {
    if (given(bias))
      at::addmm_out(out, *bias, input, weight.t());
    else
      at::mm_out(out, input, weight.t());
    finish(out, activation, residual);
    return out;
  }
  const at::Tensor result = linear(input, weight, bias, packed, activation, residual);
  TORCH_CHECK_VALUE(out.sizes() == result.sizes(), "longformer::linear: out must be ", result.sizes(),
                    ", got ", out.sizes());
  return out.copy_(result);
}

at::Tensor defined_or_none(const OptionalTensor& t) {
  return given(t) ? *t : at::Tensor();
}

// Whether the kernel took it.
bool norm_by_kernel(const at::Tensor& input, const OptionalTensor& residual, const at::Tensor& weight,
                    const at::Tensor& bias, double eps, const at::Tensor& out) {
  const at::Tensor r = defined_or_none(residual);
  if (!cuda::norm_serves(input, r, weight, bias)) return false;
  cuda::DriverLauncher launcher(input.device());
  if (launcher.capability() < cuda::kOldestCapability) return false;
  cuda::norm_into(input, r, weight, bias, eps, out, launcher);
  return true;
}

at::Tensor add_layer_norm(const at::Tensor& input, const OptionalTensor& residual, const at::Tensor& weight,
                          const at::Tensor& bias, double eps) {
  const at::Tensor out =
      at::empty(input.sizes(), input.options().memory_format(at::MemoryFormat::Contiguous));
  return norm_by_kernel(input, residual, weight, bias, eps, out)
             ? out
             : add_layer_norm_by_aten(input, residual, weight, bias, eps);
}

at::Tensor& add_layer_norm_out(const at::Tensor& input, const OptionalTensor& residual,
                               const at::Tensor& weight, const at::Tensor& bias, double eps,
                               at::Tensor& out) {
  if (out.sizes() == input.sizes() && out.scalar_type() == input.scalar_type() && out.is_contiguous() &&
      reinterpret_cast<uintptr_t>(out.data_ptr()) % 16 == 0 &&
      norm_by_kernel(input, residual, weight, bias, eps, out))
    return out;
  const at::Tensor result = add_layer_norm_by_aten(input, residual, weight, bias, eps);
  TORCH_CHECK_VALUE(out.sizes() == result.sizes(), "longformer::add_layer_norm: out must be ", result.sizes(),
                    ", got ", out.sizes());
  return out.copy_(result);
}

// Nothing to pack: an empty tensor, which linear does not look at.
at::Tensor linear_pack(const at::Tensor& weight) {
  return at::empty({0}, weight.options());
}

}  // namespace

TORCH_LIBRARY_IMPL(longformer, CUDA, m) {
  m.impl("linear", TORCH_FN(linear));
  m.impl("linear.out", TORCH_FN(linear_out));
  m.impl("add_layer_norm", TORCH_FN(add_layer_norm));
  m.impl("add_layer_norm.out", TORCH_FN(add_layer_norm_out));
  m.impl("linear_pack", TORCH_FN(linear_pack));
}

}  // namespace longformer
