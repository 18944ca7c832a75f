#include "activation.h"

#include "activation_kernel.h"
#include "driver_launcher.h"

namespace longformer {

Tensor activate_on_cuda(const Tensor& input, Activation function) {
  if (!cuda::activation_serves(input)) return activate_by_aten(input, function);
  cuda::DriverLauncher launcher(input.device());
  if (launcher.capability() < cuda::kOldestCapability) return activate_by_aten(input, function);
  return cuda::activate(input, Tensor(), function, launcher);
}

Tensor activate_backward_on_cuda(const Tensor& grad_output, const Tensor& input, Activation function) {
  if (!cuda::activation_serves(input)) return activate_backward_by_aten(grad_output, input, function);
  cuda::DriverLauncher launcher(input.device());
  if (launcher.capability() < cuda::kOldestCapability)
    return activate_backward_by_aten(grad_output, input, function);
  return cuda::activate(input, grad_output, function, launcher);
}

}  // namespace longformer
