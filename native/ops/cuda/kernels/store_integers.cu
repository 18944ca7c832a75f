#include "prepare.cuh"

extern "C" __global__ void longformer_kernel(const longformer::cuda::IntegerParameters p) {
  longformer::cuda::store_integers(p);
}
