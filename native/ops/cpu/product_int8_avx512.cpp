// Products with weights of eight bits, two int16 in a cell, for avx512; see product_int8.h.
#include "product_problem.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)

#include "vec_avx512.h"

#include "gelu_avx512.h"
#include "product_int8.h"

namespace longformer::cpu {
const ProductKernels* product_kernels_shorts_avx512() {
  static constexpr ProductKernels kernels = {
      nullptr, multiply_unit<FloatAvx512, Int8Cells<FloatAvx512, Shorts<FloatAvx512>>>, nullptr, nullptr};
  return &kernels;
}
}  // namespace longformer::cpu

#else  // another architecture, or a compiler without it
namespace longformer::cpu {
const ProductKernels* product_kernels_shorts_avx512() {
  return nullptr;
}
}  // namespace longformer::cpu
#endif
