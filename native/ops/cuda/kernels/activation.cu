#include "activation.cuh"

extern "C" __global__ void __launch_bounds__(256)
    longformer_kernel(const longformer::cuda::ActivationParameters p) {
  longformer::cuda::activate<LF_TYPE, LF_FUNCTION, LF_BACKWARD != 0>(p);
}
