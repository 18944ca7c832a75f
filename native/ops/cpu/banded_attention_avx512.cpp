// The attention kernels for avx512; see band_problem.h. This file alone decides the vector type.
#include "band_problem.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)

#include "vec_avx512.h"

#include "band_backward.h"
#include "band_forward.h"

namespace longformer::cpu {
const BandKernels* band_kernels_avx512() {
  static constexpr BandKernels kernels = {{forward_unit<FloatAvx512>, forward_unit<DoubleAvx512>},
                                          {backward_unit<FloatAvx512>, backward_unit<DoubleAvx512>},
                                          {merge_local<FloatAvx512>, merge_local<DoubleAvx512>},
                                          {merge_global<FloatAvx512>, merge_global<DoubleAvx512>},
                                          {prepare_relative<FloatAvx512>, prepare_relative<DoubleAvx512>},
                                          {prepare_bias<FloatAvx512>, prepare_bias<DoubleAvx512>},
                                          {merge_relative<FloatAvx512>, merge_relative<DoubleAvx512>},
                                          {merge_biases<FloatAvx512>, merge_biases<DoubleAvx512>}};
  return &kernels;
}
}  // namespace longformer::cpu

#else  // another architecture, or a compiler without it
namespace longformer::cpu {
const BandKernels* band_kernels_avx512() {
  return nullptr;
}
}  // namespace longformer::cpu
#endif
