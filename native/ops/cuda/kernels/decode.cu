#include "decode.cuh"

extern "C" __global__ void __launch_bounds__(128)
    longformer_kernel(const longformer::cuda::DecodeParameters p) {
  longformer::cuda::LF_KERNEL<longformer::cuda::DecodeConfig<LF_TYPE, LF_ALIGNED>>(p);
}
