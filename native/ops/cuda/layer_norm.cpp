// longformer::add_layer_norm on a CUDA device.
#include "../operators.h"
#include "driver_launcher.h"
#include "layer_norm_kernel.h"

namespace longformer {
namespace {

// Whether the kernel took it.
bool norm_by_kernel(const Tensor& input, const Tensor& residual, const Tensor& weight, const Tensor& bias,
                    double eps, const Tensor& out) {
  if (!cuda::norm_serves(input, residual, weight, bias)) return false;
  cuda::DriverLauncher launcher(input.device());
  if (launcher.capability() < cuda::kOldestCapability) return false;
  cuda::norm_into(input, residual, weight, bias, eps, out, launcher);
  return true;
}

Tensor add_layer_norm(const Tensor& input, const OptionalTensor& residual, const Tensor& weight,
                      const Tensor& bias, double eps) {
  check_layer_norm("add_layer_norm", input, residual, weight, bias);
  const Tensor& r = or_none(residual);
  const Tensor out = empty(input.sizes(), input.options());
  return norm_by_kernel(input, r, weight, bias, eps, out)
             ? out
             : add_layer_norm_by_aten(input, r, weight, bias, eps);
}

void add_layer_norm_into(const Tensor& input, const OptionalTensor& residual, const Tensor& weight,
                         const Tensor& bias, double eps, const Tensor& out) {
  check_layer_norm("_add_layer_norm_into", input, residual, weight, bias);
  check_out("_add_layer_norm_into", out, input.sizes(), Tensor());
  const Tensor& r = or_none(residual);
  if (out.is_contiguous() && out.scalar_type() == input.scalar_type() &&
      reinterpret_cast<uintptr_t>(out.data_ptr()) % 16 == 0 &&
      norm_by_kernel(input, r, weight, bias, eps, out))
    return;
  out.copy_(add_layer_norm_by_aten(input, r, weight, bias, eps));
}

}  // namespace

LONGFORMER_REGISTER(r) {
  r.impl<add_layer_norm>(torch::Key::cuda, "add_layer_norm");
  r.impl<add_layer_norm_into>(torch::Key::cuda, "_add_layer_norm_into");
}

}  // namespace longformer
