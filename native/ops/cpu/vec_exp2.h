// 2^r on [-1/2, 1/2], from near-minimax polynomials with p(0) = 1. Everything in these headers lives in an unnamed
// namespace: each instruction set's translation unit gets its own copy, none of which the linker may merge.
#pragma once

namespace {

// Degree 6: relative error 5e-9 before rounding, about 1 ulp after it.
template <class V>
inline __attribute__((always_inline)) typename V::T exp2_fraction_float(typename V::T r) {
  typename V::T p = V::set1(0.00015453162945120691f);
  p = V::fma(p, r, V::set1(0.0013390863364671234f));
  p = V::fma(p, r, V::set1(0.0096180825572778524f));
  p = V::fma(p, r, V::set1(0.055503571142190782f));
  p = V::fma(p, r, V::set1(0.24022650760568126f));
  p = V::fma(p, r, V::set1(0.69314718802622877f));
  return V::fma(p, r, V::set1(1.0f));
}

// Degree 11: relative error 8e-18 before rounding.
template <class V>
inline __attribute__((always_inline)) typename V::T exp2_fraction_double(typename V::T r) {
  typename V::T p = V::set1(4.4549605981865185e-10);
  p = V::fma(p, r, V::set1(7.0725859692492234e-09));
  p = V::fma(p, r, V::set1(1.0178062445845774e-07));
  p = V::fma(p, r, V::set1(1.3215442587921689e-06));
  p = V::fma(p, r, V::set1(1.5252733829836120e-05));
  p = V::fma(p, r, V::set1(0.00015403530441736050));
  p = V::fma(p, r, V::set1(0.0013333558146416936));
  p = V::fma(p, r, V::set1(0.0096181291076068882));
  p = V::fma(p, r, V::set1(0.055504108664821597));
  p = V::fma(p, r, V::set1(0.24022650695910097));
  p = V::fma(p, r, V::set1(0.69314718055994529));
  return V::fma(p, r, V::set1(1.0));
}

}  // namespace
