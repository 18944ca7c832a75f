// One attention kernel of one configuration; the host defines the names in capitals.
#include "banded_backward.cuh"
#include "banded_forward.cuh"
#include "relative_backward.cuh"
#include "relative_forward.cuh"

namespace longformer::cuda {
using Chosen = Config<LF_TYPE, LF_DIM, LF_WARPS, LF_ROW_TILES, LF_TILE, LF_GLOBAL_TILE, LF_STAGES, LF_FLAGS,
                      LF_DROPOUT, LF_ALIGNED, LF_KEEP>;
}

extern "C" __global__ void __launch_bounds__(longformer::cuda::Chosen::threads, 1)
    longformer_kernel(const longformer::cuda::BandedParameters p) {
  longformer::cuda::LF_KERNEL<longformer::cuda::Chosen>(p);
}
