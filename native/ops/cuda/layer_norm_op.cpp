// longformer::add_layer_norm on a CUDA device.
#include "../operators.h"
#include "driver_launcher.h"
#include "layer_norm_launch.h"

namespace longformer {
namespace {

// Whether the kernel took it.
bool norm_by_kernel(const Tensor& input, const OptionalTensor& residual, const Tensor& weight,
                    const Tensor& bias, double eps, const Tensor& out) {
  const Tensor r = given(residual) ? *residual : Tensor();
  if (!cuda::norm_serves(input, r, weight, bias)) return false;
  cuda::DriverLauncher launcher(input.device());
  if (launcher.capability() < cuda::kOldestCapability) return false;
  cuda::norm_into(input, r, weight, bias, eps, out, launcher);
  return true;
}

Tensor add_layer_norm(const Tensor& input, const OptionalTensor& residual, const Tensor& weight,
                      const Tensor& bias, double eps) {
  const Tensor out = empty(input.sizes(), input.options());
  return norm_by_kernel(input, residual, weight, bias, eps, out)
             ? out
             : add_layer_norm_by_aten(input, residual, weight, bias, eps);
}

void add_layer_norm_into(const Tensor& input, const OptionalTensor& residual, const Tensor& weight,
                         const Tensor& bias, double eps, const Tensor& out) {
  if (out.sizes() == input.sizes() && out.scalar_type() == input.scalar_type() && out.is_contiguous() &&
      reinterpret_cast<uintptr_t>(out.data_ptr()) % 16 == 0 &&
      norm_by_kernel(input, residual, weight, bias, eps, out))
    return;
  const Tensor result = add_layer_norm_by_aten(input, residual, weight, bias, eps);
  LONGFORMER_CHECK_VALUE(out.sizes() == result.sizes(), "longformer::add_layer_norm: out must be ",
                         result.sizes(), ", got ", out.sizes());
  out.copy_(result);
}

}  // namespace

LONGFORMER_REGISTER(r) {
  r.impl<add_layer_norm>(torch::Key::cuda, "add_layer_norm");
  r.impl<add_layer_norm_into>(torch::Key::cuda, "_add_layer_norm_into");
}

}  // namespace longformer
