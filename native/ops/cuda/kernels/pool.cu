#include "pool.cuh"

namespace longformer::cuda {
using Chosen = PoolConfig<LF_TYPE, LF_DIM, LF_ALIGNED>;
}

extern "C" __global__ void __launch_bounds__(longformer::cuda::Chosen::threads, 1)
    longformer_kernel(const longformer::cuda::PoolParameters p) {
  longformer::cuda::pool_tokens<longformer::cuda::Chosen>(p);
}
