// Matrix products for avx2; see product.h.
#include "product_problem.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include "vec_avx2.h"

#include "fold_rows.h"
#include "product.h"

namespace longformer::cpu {
const ProductKernels* product_kernels_avx2() {
  static constexpr ProductKernels kernels = {pack_panels<FloatAvx2>, multiply_unit<FloatAvx2>,
                                             activate_elements<FloatAvx2>,
                                             activate_elements_backward<FloatAvx2>, fold_rows<FloatAvx2>};
  return &kernels;
}
}  // namespace longformer::cpu

#else  // another architecture, or a compiler without it
namespace longformer::cpu {
const ProductKernels* product_kernels_avx2() {
  return nullptr;
}
}  // namespace longformer::cpu
#endif
