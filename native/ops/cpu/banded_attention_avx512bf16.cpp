// The attention kernels of bfloat16 for avx512bf16; see band_problem.h.
#include "band_problem.h"

#if defined(__AVX512BF16__)

#include "band_bfloat16.h"

#include "band_backward.h"
#include "band_forward.h"

namespace longformer::cpu {
const BandKernels* band_kernels_bfloat16() {
  using V = BFloat16Avx512;
  static constexpr BandKernels kernels = {{forward_unit<V>, nullptr},     {backward_unit<V>, nullptr},
                                          {merge_local<V>, nullptr},      {merge_global<V>, nullptr},
                                          {prepare_relative<V>, nullptr}, {prepare_bias<V>, nullptr},
                                          {merge_relative<V>, nullptr},   {merge_biases<V>, nullptr}};
  return &kernels;
}
}  // namespace longformer::cpu

#else  // another architecture, or a compiler without it
namespace longformer::cpu {
const BandKernels* band_kernels_bfloat16() {
  return nullptr;
}
}  // namespace longformer::cpu
#endif
