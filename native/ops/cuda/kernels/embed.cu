#include "embed.cuh"

extern "C" __global__ void __launch_bounds__(128)
    longformer_kernel(const longformer::cuda::EmbedParameters p) {
  longformer::cuda::embed<LF_TYPE, LF_CHUNKS>(p);
}
