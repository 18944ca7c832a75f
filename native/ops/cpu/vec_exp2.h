// 2^x for several vectors at once, so that their chains of dependent operations overlap. Everything in these
// headers lives in an unnamed namespace: each instruction set's translation unit gets its own copy, none of
// which the linker may merge.
#pragma once

namespace {

// 2^r on [-1/2, 1/2] by near-minimax polynomials with p(0) = 1. Degree 6: relative error 5e-9 before
// rounding, about 1 ulp after it. Degree 11: 8e-18 before rounding. Highest power first, without the 1.
constexpr float kExp2Float[] = {0.00015453162945120691f, 0.0013390863364671234f, 0.0096180825572778524f,
                                0.055503571142190782f,   0.24022650760568126f,   0.69314718802622877f};
constexpr double kExp2Double[] = {4.4549605981865185e-10, 7.0725859692492234e-09, 1.0178062445845774e-07,
                                  1.3215442587921689e-06, 1.5252733829836120e-05, 0.00015403530441736050,
                                  0.0013333558146416936,  0.0096181291076068882,  0.055504108664821597,
                                  0.24022650695910097,    0.69314718055994529};

constexpr const float* exp2_coefficients(float, int& count) {
  count = sizeof(kExp2Float) / sizeof(float);
  return kExp2Float;
}
constexpr const double* exp2_coefficients(double, int& count) {
  count = sizeof(kExp2Double) / sizeof(double);
  return kExp2Double;
}

// The same on [0, 1), for vector types that split a number at its floor. Degree 6: relative error 2e-9 before
// rounding.
constexpr float kExp2AboveFloor[] = {0.00021612917540174523f, 0.0012467845633293486f, 0.009675451662771482f,
                                     0.05548528056690644f,    0.24022930556453906f,   0.6931470444423553f};

// x[0..N) to 2^x: exactly zero below the normal numbers and for -inf, NaN stays NaN.
template <class V, int N>
inline __attribute__((always_inline)) void exp2_of(typename V::T (&x)[N]) {
  using S = typename V::S;
  using T = typename V::T;
  int count = 0;
  const S* c = exp2_coefficients(S(), count);
  T whole[N], rest[N], p[N];
  if constexpr (V::splits_at_floor) {
    static_assert(sizeof(S) == sizeof(float));
    c = kExp2AboveFloor;
#pragma GCC unroll 8
    for (int k = 0; k < N; ++k) rest[k] = V::above_floor(x[k]);
#pragma GCC unroll 8
    for (int k = 0; k < N; ++k) whole[k] = x[k];  // scale takes the floor of it
  } else {
#pragma GCC unroll 8
    for (int k = 0; k < N; ++k) whole[k] = V::round(x[k]);
#pragma GCC unroll 8
    for (int k = 0; k < N; ++k) rest[k] = V::sub(x[k], whole[k]);
  }
#pragma GCC unroll 8
  for (int k = 0; k < N; ++k) p[k] = V::set1(c[0]);
#pragma GCC unroll 12
  for (int i = 1; i < count; ++i) {
#pragma GCC unroll 8
    for (int k = 0; k < N; ++k) p[k] = V::fma(p[k], rest[k], V::set1(c[i]));
  }
#pragma GCC unroll 8
  for (int k = 0; k < N; ++k) p[k] = V::fma(p[k], rest[k], V::set1(S(1)));
#pragma GCC unroll 8
  for (int k = 0; k < N; ++k) x[k] = V::scale(p[k], whole[k], x[k]);
}

}  // namespace
