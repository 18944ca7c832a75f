// Sums the lanes of as many vectors as a vector has lanes into one vector. This takes half the additions of
// separate sums and no scalar steps.
#pragma once

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "vec_avx512.h"
#endif

namespace {

// Interleaving and adding halves the vectors; which of the two a sum came from is then the lowest bit of its
// lane. So the vectors are taken in the order that leaves their sums in order.
template <class V, int COUNT, int STRIDE>
inline __attribute__((always_inline)) typename V::T lane_sums(const typename V::S* vectors) {
  if constexpr (COUNT == 1) {
    return V::load(vectors);
  } else {
    const typename V::T even = lane_sums<V, COUNT / 2, STRIDE * 2>(vectors),
                        odd = lane_sums<V, COUNT / 2, STRIDE * 2>(vectors + STRIDE * V::lanes);
    return V::add(V::interleave_low(even, odd), V::interleave_high(even, odd));
  }
}

// Lane i of the result is the sum of vectors[i * lanes .. (i + 1) * lanes).
template <class V>
inline typename V::T lane_sums(const typename V::S* vectors) {
  return lane_sums<V, V::lanes, 1>(vectors);
}

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
// Without permutations across the whole register, which take several times as long as those within 16 bytes:
// first the sums of each 16 bytes, four vectors in one, then those of a vector's four.
inline __m512 sums_of_quarters(const float* v) {
  const __m512 a = _mm512_loadu_ps(v), b = _mm512_loadu_ps(v + 16), c = _mm512_loadu_ps(v + 32),
               d = _mm512_loadu_ps(v + 48);
  const __m512d ab = _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b))),
                cd = _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d)));
  return _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd)),
                       _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd)));
}
inline __m512 sums_of_pairs(__m512 a, __m512 b) {
  return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xDD));
}
template <>
inline FloatAvx512::T lane_sums<FloatAvx512>(const float* vectors) {
  const __m512 a = sums_of_quarters(vectors), b = sums_of_quarters(vectors + 64),
               c = sums_of_quarters(vectors + 128), d = sums_of_quarters(vectors + 192);
  return sums_of_pairs(sums_of_pairs(a, b), sums_of_pairs(c, d));
}
#endif

}  // namespace
