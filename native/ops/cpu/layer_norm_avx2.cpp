// LayerNorm for avx2; see row_norm.h.
#include "norm_problem.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include "vec_avx2.h"

#include "row_norm.h"

namespace longformer::cpu {
const NormKernels* norm_kernels_avx2() {
  static constexpr NormKernels kernels = {{norm_rows<FloatAvx2>, norm_rows<DoubleAvx2>},
                                          {norm_rows_backward<FloatAvx2>, norm_rows_backward<DoubleAvx2>}};
  return &kernels;
}
}  // namespace longformer::cpu

#else  // another architecture, or a compiler without it
namespace longformer::cpu {
const NormKernels* norm_kernels_avx2() {
  return nullptr;
}
}  // namespace longformer::cpu
#endif
