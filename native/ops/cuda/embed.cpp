// longformer::embed on a CUDA device.

#include "driver_launcher.h"
#include "embed_kernel.h"

namespace longformer {
namespace {

Tensor embed(const Tensor& words, const OptionalTensor& word_ids, const Tensor& positions,
             const OptionalTensor& position_ids, const OptionalTensor& types, const OptionalTensor& type_ids,
             const Tensor& weight, const Tensor& bias, double eps, double word_scale, int64_t word_padding,
             int64_t position_padding) {
  const Embedding e = check_embed("embed", words, word_ids, positions, position_ids, types, type_ids, weight,
                                  bias, eps, word_scale, word_padding, position_padding);
  if (!cuda::serves(e)) return embed_by_aten(e);
  cuda::DriverLauncher launcher(words.device());
  if (launcher.capability() < cuda::kOldestCapability) return embed_by_aten(e);
  return cuda::embed(e, launcher);
}

}  // namespace

LONGFORMER_REGISTER(r) {
  r.impl<embed>(torch::Key::cuda, "embed");
}

}  // namespace longformer
