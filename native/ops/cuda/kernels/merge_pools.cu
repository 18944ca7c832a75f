#include "pool.cuh"

extern "C" __global__ void __launch_bounds__(longformer::cuda::kMergeColumns)
    longformer_kernel(const longformer::cuda::PoolParameters p) {
  longformer::cuda::merge_pools(p);
}
