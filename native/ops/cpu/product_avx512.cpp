// Matrix products for avx512; see product.h.
#include "product_problem.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)

#include "vec_avx512.h"

#include "fold_rows.h"
#include "gelu_avx512.h"
#include "product.h"

namespace longformer::cpu {
const ProductKernels* product_kernels_avx512() {
  static constexpr ProductKernels kernels = {pack_panels<FloatAvx512>, multiply_unit<FloatAvx512>,
                                             activate_elements<FloatAvx512>,
                                             activate_elements_backward<FloatAvx512>, fold_rows<FloatAvx512>};
  return &kernels;
}
}  // namespace longformer::cpu

#else  // another architecture, or a compiler without it
namespace longformer::cpu {
const ProductKernels* product_kernels_avx512() {
  return nullptr;
}
}  // namespace longformer::cpu
#endif
