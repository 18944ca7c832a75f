#define LONGFORMER_EMULATION
#include "../../ops/cuda/kernels/pool.cuh"
#include "../../ops/cuda/pool.h"
#include "emulated_kernels.h"

namespace longformer::test {
namespace {

template <int type, int dim, bool aligned>
bool add() {
  emulated_kernels()[cuda::pool_text(type, dim, aligned).describe()] = [](const void* p) {
    cuda::pool_tokens<cuda::PoolConfig<type, dim, aligned>>(*static_cast<const cuda::PoolParameters*>(p));
  };
  return true;
}

const bool added = [] {
  emulated_kernels()["merge_pools.cu"] = [](const void* p) {
    cuda::merge_pools(*static_cast<const cuda::PoolParameters*>(p));
  };
  return add<0, 256, true>() && add<0, 256, false>() && add<0, 1024, true>() && add<1, 128, true>() &&
         add<1, 128, false>() && add<1, 768, true>() && add<1, 1024, true>() && add<2, 128, true>() &&
         add<2, 256, true>();
}();

}  // namespace
}  // namespace longformer::test
