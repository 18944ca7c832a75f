// The attention kernels for avx2; see band_problem.h. This file alone decides the vector type.
#include "band_problem.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include "vec_avx2.h"

#include "band_backward.h"
#include "band_forward.h"

namespace longformer::cpu {
const BandKernels* band_kernels_avx2() {
  static constexpr BandKernels kernels = {{forward_unit<FloatAvx2>, forward_unit<DoubleAvx2>},
                                          {backward_unit<FloatAvx2>, backward_unit<DoubleAvx2>},
                                          {merge_local<FloatAvx2>, merge_local<DoubleAvx2>},
                                          {merge_global<FloatAvx2>, merge_global<DoubleAvx2>},
                                          {prepare_relative<FloatAvx2>, prepare_relative<DoubleAvx2>},
                                          {prepare_bias<FloatAvx2>, prepare_bias<DoubleAvx2>},
                                          {merge_relative<FloatAvx2>, merge_relative<DoubleAvx2>},
                                          {merge_biases<FloatAvx2>, merge_biases<DoubleAvx2>}};
  return &kernels;
}
}  // namespace longformer::cpu

#else  // another architecture, or a compiler without it
namespace longformer::cpu {
const BandKernels* band_kernels_avx2() {
  return nullptr;
}
}  // namespace longformer::cpu
#endif
