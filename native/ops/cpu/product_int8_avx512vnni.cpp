// Products with weights of eight bits, four int8 in a cell, for avx512 with VNNI; see product_int8.h.
#include "product_problem.h"

#if defined(__AVX512VNNI__)

#include "vec_avx512.h"

#include "gelu_avx512.h"
#include "product_int8.h"

namespace {

struct Bytes {
  using Cell = uint8_t;
  static constexpr int32_t kZero = 128;
  static __m512 multiply_add(__m512 x, __m512 weights, __m512 sum) {
    return _mm512_castsi512_ps(
        _mm512_dpbusd_epi32(_mm512_castps_si512(sum), _mm512_castps_si512(x), _mm512_castps_si512(weights)));
  }
};

}  // namespace

namespace longformer::cpu {
const ProductKernels* product_kernels_bytes_avx512() {
  static constexpr ProductKernels kernels = {
      nullptr, multiply_unit<FloatAvx512, Int8Cells<FloatAvx512, Bytes>>, nullptr, nullptr};
  return &kernels;
}
}  // namespace longformer::cpu

#else  // another architecture, or a compiler without it
namespace longformer::cpu {
const ProductKernels* product_kernels_bytes_avx512() {
  return nullptr;
}
}  // namespace longformer::cpu
#endif
