// Products with weights of eight bits, two int16 in a cell, for avx2; see product_int8.h.
#include "product_problem.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include "vec_avx2.h"

#include "product_int8.h"

namespace longformer::cpu {
const ProductKernels* product_kernels_shorts_avx2() {
  static constexpr ProductKernels kernels = {
      nullptr, multiply_unit<FloatAvx2, Int8Cells<FloatAvx2, Shorts<FloatAvx2>>>, nullptr, nullptr};
  return &kernels;
}
}  // namespace longformer::cpu

#else  // another architecture, or a compiler without it
namespace longformer::cpu {
const ProductKernels* product_kernels_shorts_avx2() {
  return nullptr;
}
}  // namespace longformer::cpu
#endif
