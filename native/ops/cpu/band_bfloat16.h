// bfloat16 where the processor multiplies pairs of it (AVX512_BF16): float32 but for the products.
#pragma once
#include "vec_avx512.h"

#include "band_cells.h"

namespace {

struct BFloat16Avx512 : FloatAvx512 {};

// VDPBF16PS: the sum of two products for every cell, added to a float32.
struct BFloat16Product : FloatAvx512 {
  static T fma(T a, T b, T sum) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
  }
};

template <>
struct Cells<BFloat16Avx512> {
  using V = BFloat16Avx512;
  using T = V::T;
  using Product = BFloat16Product;
  static constexpr int width = 2;
  struct Registers {};

  static T pair(T low, T high) {
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23,
                                           7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    const __m512i both = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
    return _mm512_castsi512_ps(_mm512_permutexvar_epi16(order, both));
  }
  static void store(float* to, T x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)));
  }
  // The factors of the second key are `step` behind those of the first.
  static T drop(T x, const float* factors, ptrdiff_t step) {
    const auto kept = [](const float* f) { return _mm512_cmp_ps_mask(V::load(f), V::zero(), _CMP_NEQ_UQ); };
    const __m512i low = _mm512_maskz_set1_epi32(kept(factors), 0xFFFF),
                  high = _mm512_maskz_set1_epi32(kept(factors + step), int(0xFFFF0000));
    return _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(x), _mm512_or_si512(low, high)));
  }
  // Adds the two elements of every cell.
  static T add(T sum, T cells) {
    return Product::fma(cells, _mm512_castsi512_ps(_mm512_set1_epi32(0x3F803F80)), sum);  // ones
  }
};

}  // namespace
