// GELU for avx512; see gelu.h.
#include "gelu.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)

#include "vec_avx512.h"

#include "band_tile.h"

namespace longformer::cpu {
namespace {

// The order of operands in min and max keeps a NaN.
inline __m512 gelu(__m512 x, const __m512 (&coefficients)[kGeluPowers]) {
  // The largest float below the end, so that the interval is one of the sixteen.
  const __m512 t = _mm512_min_ps(_mm512_set1_ps(__builtin_nextafterf(float(kGeluEnd), 0.0f)),
                                 _mm512_abs_ps(x)),
               scaled = _mm512_mul_ps(t, _mm512_set1_ps(float(kGeluIntervals / kGeluEnd)));
  const __m512i interval = _mm512_cvttps_epi32(scaled);
  const __m512 u = _mm512_sub_ps(_mm512_sub_ps(scaled, _mm512_cvtepi32_ps(interval)), _mm512_set1_ps(0.5f));
  __m512 q = _mm512_permutexvar_ps(interval, coefficients[kGeluPowers - 1]);
#pragma GCC unroll 8
  for (int k = kGeluPowers - 2; k >= 0; --k)
    q = _mm512_fmadd_ps(q, u, _mm512_permutexvar_ps(interval, coefficients[k]));
  return _mm512_fnmadd_ps(t, q, _mm512_max_ps(_mm512_setzero_ps(), x));
}

void rows_of_gelu(const GeluTable& table, const float* from, int64_t rows, int64_t columns, void* to,
                  int64_t stride, Element element) {
  __m512 coefficients[kGeluPowers];
  for (int k = 0; k < kGeluPowers; ++k) coefficients[k] = _mm512_load_ps(table.coefficients[k]);
  const int64_t whole = columns / 16 * 16, bytes = element_size(element);
  for (int64_t row = 0; row < rows; ++row, from += columns) {
    char* out = static_cast<char*>(to) + row * stride * bytes;
    for (int64_t i = 0; i < whole; i += 16)
      store_element<FloatAvx512>(out, i, element, gelu(_mm512_loadu_ps(from + i), coefficients));
    if (whole == columns) continue;
    const __mmask16 left = lanes_between(0, int(columns - whole) - 1);
    alignas(64) char tail[64];
    store_element<FloatAvx512>(tail, 0, element,
                               gelu(_mm512_maskz_loadu_ps(left, from + whole), coefficients));
    std::memcpy(out + whole * bytes, tail, size_t((columns - whole) * bytes));
  }
}

}  // namespace

GeluRows gelu_rows_avx512() {
  return rows_of_gelu;
}
}  // namespace longformer::cpu

#else  // another architecture, or a compiler without it
namespace longformer::cpu {
GeluRows gelu_rows_avx512() {
  return nullptr;
}
}  // namespace longformer::cpu
#endif
