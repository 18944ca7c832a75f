// AVX2 + FMA + F16C: eight floats, four doubles. vec_portable.h documents the members of a vector type.
#pragma once
#include <immintrin.h>

#include "vec_portable.h"

namespace {

struct FloatAvx2 {
  using S = float;
  using T = __m256;
  static constexpr bool splits_at_floor = false;
  static constexpr int lanes = 8, max_vectors = 2;
  static constexpr int block_rows(int vectors) { return vectors == 1 ? 8 : 6; }
  static T load(const S* p) { return _mm256_loadu_ps(p); }
  static void store(S* p, T x) { _mm256_storeu_ps(p, x); }
  static void stream(S* p, T x) { _mm256_stream_ps(p, x); }
  static void stream_end() { _mm_sfence(); }
  static T set1(S x) { return _mm256_set1_ps(x); }
  static T zero() { return _mm256_setzero_ps(); }
  static T add(T a, T b) { return _mm256_add_ps(a, b); }
  static T sub(T a, T b) { return _mm256_sub_ps(a, b); }
  static T mul(T a, T b) { return _mm256_mul_ps(a, b); }
  static T fma(T a, T b, T c) { return _mm256_fmadd_ps(a, b, c); }
  static T max(T a, T b) { return _mm256_max_ps(a, b); }
  static T round(T x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static T scale(T p, T whole, T x) {
    const __m256i power =
        _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(whole), _mm256_set1_epi32(127)), 23);
    return _mm256_and_ps(mul(p, _mm256_castsi256_ps(power)), _mm256_cmp_ps(x, set1(-126.0f), _CMP_NLT_UQ));
  }
  static T range(T x, int first, int last, S fill) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i outside = _mm256_or_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(first), lane),
                                            _mm256_cmpgt_epi32(lane, _mm256_set1_epi32(last)));
    return _mm256_blendv_ps(x, set1(fill), _mm256_castsi256_ps(outside));
  }
  static T interleave_low(T a, T b) {
    return _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x20);
  }
  static T interleave_high(T a, T b) {
    return _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x31);
  }
  static S sum(T x) {
    const __m128 half = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 pair = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)));
  }
  static T load_bfloat16(const uint16_t* p) {
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
  }
  static T load_int8(const int8_t* p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
  }
  static T load_float16(const uint16_t* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static void store_bfloat16(uint16_t* p, T x) {
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i top =
        _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF))), 16);
    top = _mm256_blendv_epi8(top, _mm256_set1_epi32(0x7FC0),
                             _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q)));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                     _mm_packus_epi32(_mm256_castsi256_si128(top), _mm256_extracti128_si256(top, 1)));
  }
  static void store_float16(uint16_t* p, T x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
  }
};

struct DoubleAvx2 {
  using S = double;
  using T = __m256d;
  static constexpr bool splits_at_floor = false;
  static constexpr int lanes = 4, max_vectors = 2;
  static constexpr int block_rows(int vectors) { return vectors == 1 ? 8 : 6; }
  static T load(const S* p) { return _mm256_loadu_pd(p); }
  static void store(S* p, T x) { _mm256_storeu_pd(p, x); }
  static void stream(S* p, T x) { _mm256_stream_pd(p, x); }
  static void stream_end() { _mm_sfence(); }
  static T set1(S x) { return _mm256_set1_pd(x); }
  static T zero() { return _mm256_setzero_pd(); }
  static T add(T a, T b) { return _mm256_add_pd(a, b); }
  static T sub(T a, T b) { return _mm256_sub_pd(a, b); }
  static T mul(T a, T b) { return _mm256_mul_pd(a, b); }
  static T fma(T a, T b, T c) { return _mm256_fmadd_pd(a, b, c); }
  static T max(T a, T b) { return _mm256_max_pd(a, b); }
  static T round(T x) { return _mm256_round_pd(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static T scale(T p, T whole, T x) {
    // Adding 1.5 * 2^52 leaves the integer in the low bits.
    const __m256i bits = _mm256_castpd_si256(add(whole, set1(6755399441055744.0)));
    const __m256i power =
        _mm256_slli_epi64(_mm256_add_epi64(bits, _mm256_set1_epi64x(1023 - 0x4338000000000000ll)), 52);
    return _mm256_and_pd(mul(p, _mm256_castsi256_pd(power)), _mm256_cmp_pd(x, set1(-1022.0), _CMP_NLT_UQ));
  }
  static T range(T x, int first, int last, S fill) {
    const __m256i lane = _mm256_setr_epi64x(0, 1, 2, 3);
    const __m256i outside = _mm256_or_si256(_mm256_cmpgt_epi64(_mm256_set1_epi64x(first), lane),
                                            _mm256_cmpgt_epi64(lane, _mm256_set1_epi64x(last)));
    return _mm256_blendv_pd(x, set1(fill), _mm256_castsi256_pd(outside));
  }
  static T interleave_low(T a, T b) {
    return _mm256_permute2f128_pd(_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b), 0x20);
  }
  static T interleave_high(T a, T b) {
    return _mm256_permute2f128_pd(_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b), 0x31);
  }
  static S sum(T x) {
    const __m128d half = _mm_add_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd(x, 1));
    return _mm_cvtsd_f64(_mm_add_sd(half, _mm_unpackhi_pd(half, half)));
  }
};

}  // namespace
