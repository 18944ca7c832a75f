#include "layer_norm.cuh"

extern "C" __global__ void __launch_bounds__(128)
    longformer_kernel(const longformer::cuda::NormParameters p) {
  longformer::cuda::add_layer_norm<LF_TYPE, LF_CHUNKS>(p);
}
