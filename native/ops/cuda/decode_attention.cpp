// longformer::decode_attention on a CUDA device.
#include "../decode_attention.h"

#include "../operators.h"
#include "decode_attention_kernel.h"
#include "driver_launcher.h"

namespace longformer {
namespace {

Tensor decode_attention(const Tensor& query, const TensorList& key, const TensorList& value, IntList rows,
                        const TensorList& mask, std::optional<double> scale) {
  const DecodeAttention a = check_decode_attention(query, key, value, rows, mask, scale);
  if (!cuda::serves(a)) return decode_attention_by_aten(a);
  cuda::DriverLauncher launcher(query.device());
  if (launcher.capability() < cuda::kOldestCapability) return decode_attention_by_aten(a);
  return cuda::decode_attention(a, launcher);
}

}  // namespace

LONGFORMER_REGISTER(r) {
  r.impl<decode_attention>(torch::Key::cuda, "decode_attention");
}

}  // namespace longformer
