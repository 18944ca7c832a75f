// AVX-512 F/BW/VL/DQ: sixteen floats, eight doubles. vec_portable.h documents the members of a vector type.
#pragma once
#include <immintrin.h>

#include "vec_portable.h"

// GCC's own headers pass an undefined register to instructions that ignore it, and then warn about it (GCC
// bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

namespace {

// 32 registers: 24 accumulators, the vectors of a row and a broadcast scalar.
constexpr int avx512_block_rows(int vectors) {
  return vectors == 4 ? 6 : vectors == 3 ? 8 : vectors == 2 ? 12 : 16;
}

inline __mmask16 lanes_between(int first, int last) {  // of at most 16; empty where last < first
  const unsigned upto = last < 0 ? 0u : last >= 15 ? 0xFFFFu : (2u << last) - 1u;
  const unsigned before = first <= 0 ? 0u : first > 15 ? 0xFFFFu : (1u << first) - 1u;
  return static_cast<__mmask16>(upto & ~before);
}

struct FloatAvx512 {
  using S = float;
  using T = __m512;
  static constexpr bool splits_at_floor = true;
  static T above_floor(T x) { return _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
  static constexpr int lanes = 16, max_vectors = 4;
  static constexpr int block_rows(int vectors) { return avx512_block_rows(vectors); }
  static T load(const S* p) { return _mm512_loadu_ps(p); }
  static void store(S* p, T x) { _mm512_storeu_ps(p, x); }
  static void stream(S* p, T x) { _mm512_stream_ps(p, x); }
  static void stream_end() { _mm_sfence(); }
  static T set1(S x) { return _mm512_set1_ps(x); }
  static T zero() { return _mm512_setzero_ps(); }
  static T add(T a, T b) { return _mm512_add_ps(a, b); }
  static T sub(T a, T b) { return _mm512_sub_ps(a, b); }
  static T mul(T a, T b) { return _mm512_mul_ps(a, b); }
  static T fma(T a, T b, T c) { return _mm512_fmadd_ps(a, b, c); }
  static T max(T a, T b) { return _mm512_max_ps(a, b); }
  static T round(T x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static T scale(T p, T whole, T x) {
    return _mm512_maskz_scalef_ps(_mm512_cmp_ps_mask(x, set1(-126.0f), _CMP_NLT_UQ), p, whole);
  }
  static T range(T x, int first, int last, S fill) {
    return _mm512_mask_mov_ps(set1(fill), lanes_between(first, last), x);
  }
  static T interleave_low(T a, T b) {
    const __m512i order = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    return _mm512_permutex2var_ps(a, order, b);
  }
  static T interleave_high(T a, T b) {
    const __m512i order = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    return _mm512_permutex2var_ps(a, order, b);
  }
  static S sum(T x) { return _mm512_reduce_add_ps(x); }
  static T load_bfloat16(const uint16_t* p) {
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
  }
  static T load_int8(const int8_t* p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
  }
  static T load_float16(const uint16_t* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static void store_bfloat16(uint16_t* p, T x) {
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i top =
        _mm512_srli_epi32(_mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF))), 16);
    top = _mm512_mask_mov_epi32(top, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), _mm512_set1_epi32(0x7FC0));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(top));
  }
  static void store_float16(uint16_t* p, T x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
  }
};

struct DoubleAvx512 {
  using S = double;
  using T = __m512d;
  static constexpr bool splits_at_floor = false;
  static constexpr int lanes = 8, max_vectors = 4;
  static constexpr int block_rows(int vectors) { return avx512_block_rows(vectors); }
  static T load(const S* p) { return _mm512_loadu_pd(p); }
  static void store(S* p, T x) { _mm512_storeu_pd(p, x); }
  static void stream(S* p, T x) { _mm512_stream_pd(p, x); }
  static void stream_end() { _mm_sfence(); }
  static T set1(S x) { return _mm512_set1_pd(x); }
  static T zero() { return _mm512_setzero_pd(); }
  static T add(T a, T b) { return _mm512_add_pd(a, b); }
  static T sub(T a, T b) { return _mm512_sub_pd(a, b); }
  static T mul(T a, T b) { return _mm512_mul_pd(a, b); }
  static T fma(T a, T b, T c) { return _mm512_fmadd_pd(a, b, c); }
  static T max(T a, T b) { return _mm512_max_pd(a, b); }
  static T round(T x) { return _mm512_roundscale_pd(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static T scale(T p, T whole, T x) {
    return _mm512_maskz_scalef_pd(_mm512_cmp_pd_mask(x, set1(-1022.0), _CMP_NLT_UQ), p, whole);
  }
  static T range(T x, int first, int last, S fill) {
    return _mm512_mask_mov_pd(set1(fill), static_cast<__mmask8>(lanes_between(first, last < 7 ? last : 7)),
                              x);
  }
  static T interleave_low(T a, T b) {
    return _mm512_permutex2var_pd(a, _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), b);
  }
  static T interleave_high(T a, T b) {
    return _mm512_permutex2var_pd(a, _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15), b);
  }
  static S sum(T x) { return _mm512_reduce_add_pd(x); }
};

}  // namespace
