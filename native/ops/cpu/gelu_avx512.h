// GELU in its exact form, x Phi(x) with the normal distribution function Phi (Hendrycks and Gimpel, 2016), by
// a table in registers: 1.1 cycles an element.
#pragma once
#include "activations.h"
#include "gelu_table.h"

namespace {

// The order of operands in min and max keeps a NaN.
template <>
inline __m512 exact_gelu<FloatAvx512>(__m512 x) {
  using namespace longformer::cpu;
  // The largest float below the end, so that the interval is one of the sixteen.
  const __m512 t = _mm512_min_ps(_mm512_set1_ps(__builtin_nextafterf(float(kGeluEnd), 0.0f)),
                                 _mm512_abs_ps(x)),
               scaled = _mm512_mul_ps(t, _mm512_set1_ps(float(kGeluIntervals / kGeluEnd)));
  const __m512i interval = _mm512_cvttps_epi32(scaled);
  const __m512 u = _mm512_sub_ps(_mm512_sub_ps(scaled, _mm512_cvtepi32_ps(interval)), _mm512_set1_ps(0.5f));
  __m512 q = _mm512_permutexvar_ps(interval, _mm512_load_ps(gelu_table.coefficients[kGeluPowers - 1]));
#pragma GCC unroll 8
  for (int k = kGeluPowers - 2; k >= 0; --k)
    q = _mm512_fmadd_ps(q, u, _mm512_permutexvar_ps(interval, _mm512_load_ps(gelu_table.coefficients[k])));
  return _mm512_fnmadd_ps(t, q, _mm512_max_ps(_mm512_setzero_ps(), x));
}

}  // namespace
