// Matrix products for avx512bf16; see product_bfloat16.h.
#include "product_problem.h"

#if defined(__AVX512BF16__)

#include "vec_avx512.h"

#include "gelu_avx512.h"
#include "product_bfloat16.h"

namespace longformer::cpu {
const ProductKernels* product_kernels_bfloat16() {
  static constexpr ProductKernels kernels = {pack_pairs, multiply_unit<FloatAvx512, BFloat16Pairs>, nullptr,
                                             nullptr};
  return &kernels;
}
}  // namespace longformer::cpu

#else  // another architecture, or a compiler without it
namespace longformer::cpu {
const ProductKernels* product_kernels_bfloat16() {
  return nullptr;
}
}  // namespace longformer::cpu
#endif
