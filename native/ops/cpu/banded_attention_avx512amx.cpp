// The attention kernels of bfloat16 by whole tiles, for AVX-512 with AMX; see band_problem.h.
#include "band_problem.h"

#if defined(__AVX512BF16__) && defined(__x86_64__)

#include "band_tiles.h"

#include "band_backward.h"
#include "band_forward.h"

namespace longformer::cpu {
const BandKernels* band_kernels_tiles() {
  using V = BFloat16Tiled;
  static constexpr BandKernels kernels = {{forward_unit<V>, nullptr},     {backward_unit<V>, nullptr},
                                          {merge_local<V>, nullptr},      {merge_global<V>, nullptr},
                                          {prepare_relative<V>, nullptr}, {prepare_bias<V>, nullptr},
                                          {merge_relative<V>, nullptr},   {merge_biases<V>, nullptr}};
  return &kernels;
}
}  // namespace longformer::cpu

#else  // another architecture, or a compiler without it
namespace longformer::cpu {
const BandKernels* band_kernels_tiles() {
  return nullptr;
}
}  // namespace longformer::cpu
#endif
