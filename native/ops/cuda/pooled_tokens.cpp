// longformer::_pooled_tokens on a CUDA device.
#include "../operators.h"
#include "driver_launcher.h"
#include "pooled_tokens_kernel.h"

namespace longformer {

Tensor pooled_tokens_on_cuda(const Tensor& queries, const Tensor& hidden, const Tensor& visible,
                             IntList sequence_offsets) {
  if (!cuda::pool_serves(queries, hidden))
    return pooled_tokens_by_aten(queries, hidden, visible, sequence_offsets);
  cuda::DriverLauncher launcher(queries.device());
  if (launcher.capability() < cuda::kOldestCapability)
    return pooled_tokens_by_aten(queries, hidden, visible, sequence_offsets);
  return cuda::pool_tokens(queries, hidden, visible, sequence_offsets, launcher);
}

}  // namespace longformer
