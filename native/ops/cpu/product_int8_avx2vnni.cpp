// Products with weights of eight bits, four int8 in a cell, for avx2 with VNNI; see product_int8.h.
#include "product_problem.h"

#if defined(__AVXVNNI__)

#include "vec_avx2.h"

#include "product_int8.h"

namespace {

struct Bytes {
  using Cell = uint8_t;
  static constexpr int32_t kZero = 128;
  static __m256 multiply_add(__m256 x, __m256 weights, __m256 sum) {
    return _mm256_castsi256_ps(_mm256_dpbusd_avx_epi32(_mm256_castps_si256(sum), _mm256_castps_si256(x),
                                                       _mm256_castps_si256(weights)));
  }
};

}  // namespace

namespace longformer::cpu {
const ProductKernels* product_kernels_bytes_avx2() {
  static constexpr ProductKernels kernels = {nullptr, multiply_unit<FloatAvx2, Int8Cells<FloatAvx2, Bytes>>,
                                             nullptr, nullptr};
  return &kernels;
}
}  // namespace longformer::cpu

#else  // another architecture, or a compiler without it
namespace longformer::cpu {
const ProductKernels* product_kernels_bytes_avx2() {
  return nullptr;
}
}  // namespace longformer::cpu
#endif
