// The activation functions and their derivatives in vectors; compiled once for every instruction set like
// band_*.h.
#pragma once
#include "activation.h"
#include "vec_exp2.h"

namespace {

using longformer::cpu::Activation;

template <class V>
inline typename V::T exp2_of_one(typename V::T x) {
  typename V::T one[1] = {x};
  exp2_of<V>(one);
  return one[0];
}

// min that lets a NaN through, as V::max does with its second operand.
template <class V>
inline typename V::T at_most(typename V::T x, typename V::S limit) {
  return V::sub(V::zero(), V::max(V::set1(-limit), V::sub(V::zero(), x)));
}

// 1 where x > 0, 0 elsewhere, NaN for NaN: any positive number times 2^200 is above 1.
template <class V>
inline typename V::T above_zero(typename V::T x) {
  const typename V::T large = V::mul(V::mul(x, V::set1(0x1p100f)), V::set1(0x1p100f));
  return at_most<V>(V::max(V::zero(), large), 1);
}

// x / (1 + 2^y), y bounded so that 2^y is finite.
template <class V>
inline typename V::T logistic(typename V::T x, typename V::T y) {
  return x / V::add(V::set1(1), exp2_of_one<V>(at_most<V>(y, 126)));
}

constexpr float kLog2E = 1.44269504f;
constexpr float kGeluCube = 0.044715f, kGeluSlope = 0.7978845608f;  // of the formula with tanh

template <class V>
inline typename V::T magnitude(typename V::T x) {
  return V::max(V::sub(V::zero(), x), x);
}

// 1 - Phi(|x|), Phi the normal distribution function, and e^(-x^2 / 2). The error function is formula 7.1.26
// of Abramowitz and Stegun, 1.5e-7 off at most.
template <class V>
struct NormalTail {
  typename V::T tail, density;
};
template <class V>
inline NormalTail<V> normal_tail(typename V::T size) {
  using T = typename V::T;
  const T z = V::mul(size, V::set1(0.7071067812f));
  const T t = V::set1(1) / V::fma(z, V::set1(0.3275911f), V::set1(1));
  T p = V::set1(1.061405429f);
  p = V::fma(p, t, V::set1(-1.453152027f));
  p = V::fma(p, t, V::set1(1.421413741f));
  p = V::fma(p, t, V::set1(-0.284496736f));
  p = V::mul(V::fma(p, t, V::set1(0.254829592f)), t);
  const T density = exp2_of_one<V>(V::mul(V::mul(z, z), V::set1(-kLog2E)));
  return {V::mul(V::mul(p, V::set1(0.5f)), density), density};
}

template <class V>
inline typename V::T exact_gelu(typename V::T x) {
  const typename V::T size = magnitude<V>(x);
  return V::sub(V::max(V::zero(), x), V::mul(size, normal_tail<V>(size).tail));
}

template <class V>
inline typename V::T activate(typename V::T x, Activation activation) {
  using T = typename V::T;
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::relu:
      return V::max(V::zero(), x);
    case Activation::tanh:
      return V::sub(V::set1(1), logistic<V>(V::set1(2), V::mul(x, V::set1(2 * kLog2E))));
    case Activation::silu:
      return logistic<V>(x, V::mul(x, V::set1(-kLog2E)));
    case Activation::gelu_tanh: {
      const T cube = V::mul(V::mul(x, x), V::mul(x, V::set1(kGeluCube)));
      return logistic<V>(x, V::mul(V::add(x, cube), V::set1(-2 * kLog2E * kGeluSlope)));
    }
    case Activation::gelu:
      return exact_gelu<V>(x);
  }
  return x;
}

// The derivative at x, times `gradient`.
template <class V>
inline typename V::T activate_backward(typename V::T gradient, typename V::T x, Activation activation) {
  using T = typename V::T;
  const T one = V::set1(1);
  switch (activation) {
    case Activation::none:
      return gradient;
    case Activation::relu:
      return V::mul(gradient, above_zero<V>(x));
    case Activation::tanh: {
      const T y = activate<V>(x, Activation::tanh);
      return V::mul(gradient, V::sub(one, V::mul(y, y)));
    }
    case Activation::silu: {
      const T s = logistic<V>(one, V::mul(x, V::set1(-kLog2E)));
      return V::mul(V::mul(gradient, s), V::fma(x, V::sub(one, s), one));
    }
    case Activation::gelu_tanh: {
      // x s(2u) with u = slope (x + cube x^3) and s the logistic function.
      const T square = V::mul(x, x);
      const T inner = V::mul(x, V::fma(square, V::set1(kGeluCube), one));
      const T s = logistic<V>(one, V::mul(inner, V::set1(-2 * kLog2E * kGeluSlope)));
      const T slope = V::mul(V::fma(square, V::set1(3 * kGeluCube), one), V::set1(2 * kGeluSlope));
      return V::mul(V::mul(gradient, s), V::fma(V::mul(x, slope), V::sub(one, s), one));
    }
    case Activation::gelu: {
      const NormalTail<V> normal = normal_tail<V>(magnitude<V>(x));
      const T upper = above_zero<V>(x);  // Phi(x) = tail below zero, 1 - tail above
      const T phi = V::add(V::mul(upper, V::sub(one, V::add(normal.tail, normal.tail))), normal.tail);
      return V::mul(gradient, V::fma(V::mul(x, normal.density), V::set1(0.3989422804f), phi));
    }
  }
  return gradient;
}

}  // namespace
