// longformer::_pooled_tokens on a CUDA device.

#include "../operators.h"
#include "driver_launcher.h"
#include "pooled_tokens_launch.h"

namespace longformer {

Tensor pooled_tokens_on_cuda(const Tensor& queries, const Tensor& hidden, const OptionalTensor& mask,
                             IntList sequence_offsets) {
  check_pooled_tokens(queries, hidden, mask, sequence_offsets);
  if (!cuda::pool_serves(queries, hidden))
    return pooled_tokens_by_aten(queries, hidden, mask, sequence_offsets);
  cuda::DriverLauncher launcher(queries.device());
  if (launcher.capability() < cuda::kOldestCapability)
    return pooled_tokens_by_aten(queries, hidden, mask, sequence_offsets);
  return cuda::pool_tokens(queries, hidden, mask.has_value() ? *mask : Tensor(), sequence_offsets, launcher);
}

LONGFORMER_REGISTER(r) {
  r.impl<pooled_tokens_on_cuda>(torch::Key::cuda, "_pooled_tokens");
}

}  // namespace longformer
