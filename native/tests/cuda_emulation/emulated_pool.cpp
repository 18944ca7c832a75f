#define LONGFORMER_EMULATION
#include "../../ops/cuda/kernels/pool.cuh"
#include "../../ops/cuda/pooled_tokens_kernel.h"
#include "emulated_kernels.h"

#include <stdexcept>

namespace longformer::test {
namespace {

template <int type, int dim, bool aligned>
bool add() {
  using C = cuda::PoolConfig<type, dim, aligned>;
  if (cuda::pool_shared_bytes(type, dim) != C::shared_bytes)
    throw std::logic_error("the host and the kernel count shared memory in two ways");
  emulated_kernels()[cuda::pool_text(type, dim, aligned).describe()] = [](const void* p) {
    cuda::pool_tokens<C>(*static_cast<const cuda::PoolParameters*>(p));
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
