// longformer::_pooled_tokens on a CUDA device, below autograd.
#include <torch/library.h>

#include "../operators.h"
#include "driver_launcher.h"
#include "pool.h"

namespace longformer {
namespace {

at::Tensor pooled_tokens(const at::Tensor& queries, const at::Tensor& hidden,
                         const c10::optional<at::Tensor>& mask, at::IntArrayRef sequence_offsets) {
  check_pooled_tokens(queries, hidden, mask, sequence_offsets);
  if (!cuda::pool_serves(queries, hidden))
    return pooled_tokens_by_aten(queries, hidden, mask, sequence_offsets);
  cuda::DriverLauncher launcher(queries.device());
  if (launcher.capability() < cuda::kOldestCapability)
    return pooled_tokens_by_aten(queries, hidden, mask, sequence_offsets);
  return cuda::pool_tokens(queries, hidden, mask.has_value() ? *mask : at::Tensor(), sequence_offsets,
                           launcher);
}

}  // namespace

TORCH_LIBRARY_IMPL(longformer, CUDA, m) {
  m.impl("_pooled_tokens", TORCH_FN(pooled_tokens));
}

}  // namespace longformer
