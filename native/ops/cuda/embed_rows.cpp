// longformer::embed on a CUDA device, below autograd.
#include <torch/library.h>

#include "driver_launcher.h"
#include "embed.h"

namespace longformer {
namespace {

using OptionalTensor = c10::optional<at::Tensor>;

at::Tensor embed(const at::Tensor& words, const OptionalTensor& word_ids, const at::Tensor& positions,
                 const OptionalTensor& position_ids, const OptionalTensor& types,
                 const OptionalTensor& type_ids, const at::Tensor& weight, const at::Tensor& bias, double eps,
                 double word_scale, int64_t word_padding, int64_t position_padding) {
  const Embedding e =
      check_embed(words, word_ids, positions, position_ids, types, type_ids, weight, bias, eps, word_scale);
  if (!cuda::serves(e)) return embed_by_aten(e, word_padding, position_padding);
  cuda::DriverLauncher launcher(words.device());
  if (launcher.capability() < cuda::kOldestCapability)
    return embed_by_aten(e, word_padding, position_padding);
  return cuda::embed(e, launcher);
}

}  // namespace

TORCH_LIBRARY_IMPL(longformer, CUDA, m) {
  m.impl("embed", TORCH_FN(embed));
}

}  // namespace longformer
