// LayerNorm for avx512; see row_norm.h.
#include "norm_problem.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)

#include "vec_avx512.h"

#include "row_norm.h"

namespace longformer::cpu {
const NormKernels* norm_kernels_avx512() {
  static constexpr NormKernels kernels = {
      {norm_rows<FloatAvx512>, norm_rows<DoubleAvx512>},
      {norm_rows_backward<FloatAvx512>, norm_rows_backward<DoubleAvx512>}};
  return &kernels;
}
}  // namespace longformer::cpu

#else  // another architecture, or a compiler without it
namespace longformer::cpu {
const NormKernels* norm_kernels_avx512() {
  return nullptr;
}
}  // namespace longformer::cpu
#endif
