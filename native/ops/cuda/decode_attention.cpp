// longformer::decode_attention on a CUDA device, below autograd.
#include "../decode_attention.h"

#include <torch/library.h>

#include "decode.h"
#include "driver_launcher.h"

namespace longformer {
namespace {

at::Tensor decode_attention(const at::Tensor& query, at::TensorList key, at::TensorList value,
                            at::IntArrayRef rows, at::TensorList mask, c10::optional<double> scale) {
  const DecodeAttention a = check_decode_attention(query, key, value, rows, mask, scale);
  if (!cuda::serves(a)) return decode_attention_by_aten(query, key, value, rows, mask, scale);
  cuda::DriverLauncher launcher(query.device());
  if (launcher.capability() < cuda::kOldestCapability)
    return decode_attention_by_aten(query, key, value, rows, mask, scale);
  return cuda::decode_attention(a, launcher);
}

}  // namespace

TORCH_LIBRARY_IMPL(longformer, CUDA, m) {
  m.impl("decode_attention", TORCH_FN(decode_attention));
}

}  // namespace longformer
