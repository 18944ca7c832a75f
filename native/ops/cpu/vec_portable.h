// Vectors of four floats and two doubles in the compiler's own vector types: any architecture.
//
// A vector type offers: S scalar, T vector, lanes; the register blocking (max_vectors vectors times
// block_rows rows of accumulators); load/store, stream (to an aligned address, around the caches, complete
// after stream_end), set1, arithmetic, round and scale (p * 2^whole, zero where x < -126 or -1022) for
// exp2_of (or, with splits_at_floor, above_floor: x minus its floor, and a scale that takes the floor of
// `whole`), range (lanes first..last, the rest filled), interleave for transposing, sum of lanes, bfloat16,
// float16 and (to load) int8.
#pragma once
#include <cstdint>
#include <cstring>

#include "vec_exp2.h"

namespace {

inline float half_to_float(uint16_t h) {
  uint32_t sign = uint32_t(h & 0x8000u) << 16, body = uint32_t(h & 0x7FFFu), bits;
  float f;
  if (body >= 0x7C00u) {
    bits = sign | 0x7F800000u | (body & 0x3FFu) << 13;
  } else {
    // Shifted into a float's fields the exponent is 112 too small; the multiplication also normalises
    // subnormals.
    bits = body << 13;
    std::memcpy(&f, &bits, 4);
    f *= 0x1p112f;
    std::memcpy(&bits, &f, 4);
    bits |= sign;
  }
  std::memcpy(&f, &bits, 4);
  return f;
}

inline uint16_t float_to_half(float f) {
  uint32_t bits;
  std::memcpy(&bits, &f, 4);
  const uint32_t sign = bits >> 16 & 0x8000u;
  bits &= 0x7FFFFFFFu;
  if (bits > 0x7F800000u) return uint16_t(sign | 0x7E00u);
  if (bits >= 0x477FF000u) return uint16_t(sign | 0x7C00u);  // rounds to more than 65504
  if (bits < 0x38800000u) {                                  // subnormal: let the adder round at 2^-24
    float magnitude;
    std::memcpy(&magnitude, &bits, 4);
    magnitude += 0.5f;
    std::memcpy(&bits, &magnitude, 4);
    return uint16_t(sign | (bits - 0x3F000000u));
  }
  bits += 0xFFFu + (bits >> 13 & 1u);
  return uint16_t(sign | ((bits - 0x38000000u) >> 13));
}

inline float bfloat16_to_float(uint16_t b) {
  const uint32_t bits = uint32_t(b) << 16;
  float f;
  std::memcpy(&f, &bits, 4);
  return f;
}

inline uint16_t float_to_bfloat16(float f) {
  uint32_t bits;
  std::memcpy(&bits, &f, 4);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return 0x7FC0u;
  return uint16_t((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

struct FloatPortable {
  using S = float;
  static constexpr bool splits_at_floor = false;
  typedef float T __attribute__((vector_size(16)));
  typedef int32_t I __attribute__((vector_size(16)));
  static constexpr int lanes = 4, max_vectors = 2;
  static constexpr int block_rows(int vectors) { return vectors == 1 ? 8 : 6; }
  static T load(const S* p) {
    T x;
    std::memcpy(&x, p, sizeof x);
    return x;
  }
  static void store(S* p, T x) { std::memcpy(p, &x, sizeof x); }
  static void stream(S* p, T x) { store(p, x); }
  static void stream_end() {}
  static T set1(S x) { return T{x, x, x, x}; }
  static T zero() { return T{}; }
  static T add(T a, T b) { return a + b; }
  static T sub(T a, T b) { return a - b; }
  static T mul(T a, T b) { return a * b; }
  static T fma(T a, T b, T c) { return a * b + c; }
  static T max(T a, T b) { return a > b ? a : b; }
  // Adding 1.5 * 2^23 rounds to an integer, which then is in the low bits.
  static T round(T x) { return (x + set1(12582912.0f)) - set1(12582912.0f); }
  static T scale(T p, T whole, T x) {
    const I power = ((I)(whole + set1(12582912.0f)) - 0x4B400000 + 127) << 23;
    return x < set1(-126.0f) ? zero() : p * (T)power;
  }
  static T range(T x, int first, int last, S fill) {
    const I lane = {0, 1, 2, 3};
    return ((lane >= first) & (lane <= last)) ? x : set1(fill);
  }
  static T interleave_low(T a, T b) { return __builtin_shufflevector(a, b, 0, 4, 1, 5); }
  static T interleave_high(T a, T b) { return __builtin_shufflevector(a, b, 2, 6, 3, 7); }
  static S sum(T x) { return (x[0] + x[2]) + (x[1] + x[3]); }
  static T load_bfloat16(const uint16_t* p) {
    return T{bfloat16_to_float(p[0]), bfloat16_to_float(p[1]), bfloat16_to_float(p[2]),
             bfloat16_to_float(p[3])};
  }
  static T load_int8(const int8_t* p) { return T{float(p[0]), float(p[1]), float(p[2]), float(p[3])}; }
  static T load_float16(const uint16_t* p) {
    return T{half_to_float(p[0]), half_to_float(p[1]), half_to_float(p[2]), half_to_float(p[3])};
  }
  static void store_bfloat16(uint16_t* p, T x) {
    for (int i = 0; i < 4; ++i) p[i] = float_to_bfloat16(x[i]);
  }
  static void store_float16(uint16_t* p, T x) {
    for (int i = 0; i < 4; ++i) p[i] = float_to_half(x[i]);
  }
};

struct DoublePortable {
  using S = double;
  static constexpr bool splits_at_floor = false;
  typedef double T __attribute__((vector_size(16)));
  typedef int64_t I __attribute__((vector_size(16)));
  static constexpr int lanes = 2, max_vectors = 2;
  static constexpr int block_rows(int vectors) { return vectors == 1 ? 8 : 6; }
  static T load(const S* p) {
    T x;
    std::memcpy(&x, p, sizeof x);
    return x;
  }
  static void store(S* p, T x) { std::memcpy(p, &x, sizeof x); }
  static void stream(S* p, T x) { store(p, x); }
  static void stream_end() {}
  static T set1(S x) { return T{x, x}; }
  static T zero() { return T{}; }
  static T add(T a, T b) { return a + b; }
  static T sub(T a, T b) { return a - b; }
  static T mul(T a, T b) { return a * b; }
  static T fma(T a, T b, T c) { return a * b + c; }
  static T max(T a, T b) { return a > b ? a : b; }
  static T round(T x) { return (x + set1(6755399441055744.0)) - set1(6755399441055744.0); }
  static T scale(T p, T whole, T x) {
    const I power = ((I)(whole + set1(6755399441055744.0)) - 0x4338000000000000ll + 1023) << 52;
    return x < set1(-1022.0) ? zero() : p * (T)power;
  }
  static T range(T x, int first, int last, S fill) {
    const I lane = {0, 1};
    return ((lane >= int64_t(first)) & (lane <= int64_t(last))) ? x : set1(fill);
  }
  static T interleave_low(T a, T b) { return __builtin_shufflevector(a, b, 0, 2); }
  static T interleave_high(T a, T b) { return __builtin_shufflevector(a, b, 1, 3); }
  static S sum(T x) { return x[0] + x[1]; }
};

}  // namespace
