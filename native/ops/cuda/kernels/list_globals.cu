#include "prepare.cuh"

extern "C" __global__ void longformer_kernel(const longformer::cuda::GlobalsParameters p) {
  longformer::cuda::list_globals(p);
}
