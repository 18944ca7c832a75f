// banded_attention on a CUDA device.
#include "banded_attention.h"

#include "banded_attention_kernel.h"
#include "driver_launcher.h"

namespace longformer {

using cuda::kOldestCapability;

BandedForward banded_attention_fused_cuda(const BandedAttention& a) {
  if (!cuda::serves(a)) return banded_attention_chunks(a);
  cuda::DriverLauncher launcher(a.q.device());
  return launcher.capability() < kOldestCapability ? banded_attention_chunks(a)
                                                   : cuda::banded_forward(a, launcher);
}

BandedBackward banded_attention_fused_cuda_backward(const BandedAttention& a, const Tensor& grad_out,
                                                    const Tensor& out, const Tensor& lse) {
  if (!cuda::serves(a)) return banded_attention_chunks_backward(a, grad_out, out, lse);
  cuda::DriverLauncher launcher(a.q.device());
  return launcher.capability() < kOldestCapability ? banded_attention_chunks_backward(a, grad_out, out, lse)
                                                   : cuda::banded_backward(a, grad_out, out, lse, launcher);
}

}  // namespace longformer
