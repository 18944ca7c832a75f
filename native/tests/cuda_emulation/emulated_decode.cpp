#define LONGFORMER_EMULATION
#include "../../ops/cuda/decode_attention_kernel.h"
#include "../../ops/cuda/kernels/decode.cuh"
#include "emulated_kernels.h"

namespace longformer::test {
namespace {

template <int type, bool aligned>
void attend(const void* parameters) {
  cuda::decode_attend<cuda::DecodeConfig<type, aligned>>(
      *static_cast<const cuda::DecodeParameters*>(parameters));
}
template <int type>
void merge(const void* parameters) {
  cuda::decode_merge<cuda::DecodeConfig<type, true>>(*static_cast<const cuda::DecodeParameters*>(parameters));
}

template <int type>
bool add() {
  emulated_kernels()[cuda::decode_text("decode_attend", type, true).describe()] = &attend<type, true>;
  emulated_kernels()[cuda::decode_text("decode_attend", type, false).describe()] = &attend<type, false>;
  emulated_kernels()[cuda::decode_text("decode_merge", type, true).describe()] = &merge<type>;
  return true;
}
const bool added = add<0>() && add<1>() && add<2>();

}  // namespace
}  // namespace longformer::test
