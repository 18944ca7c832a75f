#define LONGFORMER_EMULATION
#include "../../ops/cuda/embed_kernel.h"
#include "../../ops/cuda/kernels/embed.cuh"
#include "../../ops/cuda/layer_norm_kernel.h"
#include "emulated_kernels.h"

namespace longformer::test {
namespace {

template <int type, int chunks>
void add_of_chunks() {
  const int64_t columns = (type == 0 ? 128 : 256) * chunks;
  emulated_kernels()[cuda::norm_text(type, columns).describe()] = [](const void* p) {
    cuda::add_layer_norm<type, chunks>(*static_cast<const cuda::NormParameters*>(p));
  };
  emulated_kernels()[cuda::embed_text(type, columns).describe()] = [](const void* p) {
    cuda::embed<type, chunks>(*static_cast<const cuda::EmbedParameters*>(p));
  };
}

template <int type>
bool add() {
  add_of_chunks<type, 1>();
  add_of_chunks<type, 2>();
  add_of_chunks<type, 3>();
  add_of_chunks<type, 6>();
  return true;
}
const bool added = add<0>() && add<1>() && add<2>();

}  // namespace
}  // namespace longformer::test
