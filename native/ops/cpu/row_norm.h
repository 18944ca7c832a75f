// LayerNorm of the sum of two rows and its gradient; compiled once for every instruction set like band_*.h.
#pragma once
#include <cstddef>
#include <cstdint>

#include "band_tile.h"
#include "norm_problem.h"

namespace {

using longformer::cpu::NormBackwardProblem;
using longformer::cpu::NormInput;
using longformer::cpu::NormProblem;

// Writes the factors of the dropout for the elements of a row; anything behind the end.
template <class S>
inline void keep_factors(S* to, const NormInput& p, int64_t row) {
  const uint64_t first = p.drop.seed + uint64_t(row * p.columns);
  const S kept = S(p.drop.kept);
  for (int64_t i = 0; i < p.padded_columns; ++i)
    to[i] = longformer::cpu::hidden_keeps(first + uint64_t(i), p.drop.threshold) ? kept : S(0);
}

// The sum of two rows (residual may be null) minus its mean, zeros behind the end; gives 1 / sqrt(variance +
// eps). The first is multiplied with factors, unless these are null. sum_row receives the sum, unless null.
// Two passes over the row, mean first: no cancellation between sums of squares. Four partial sums keep the
// chains short and the rounding of long rows small.
template <class V>
inline typename V::S centred_row(typename V::S* x, const char* input, const char* residual, Element element,
                                 int64_t n, double eps, const typename V::S* factors = nullptr,
                                 char* sum_row = nullptr) {
  using S = typename V::S;
  using T = typename V::T;
  constexpr int64_t L = V::lanes;
  const int64_t padded = (n + L - 1) / L * L, size = element_size(element);
  read_row<V>(x, input, element, n);
  if (factors != nullptr)
    for (int64_t i = 0; i < n; i += L) V::store(x + i, V::mul(V::load(x + i), V::load(factors + i)));
  if (residual != nullptr) {
    int64_t i = 0;
    for (; i + L <= n; i += L) V::store(x + i, V::add(V::load(x + i), load_element<V>(residual, i, element)));
    if (i < n) {
      alignas(64) S tail[L];
      read_row<V>(tail, residual + i * size, element, n - i);
      V::store(x + i, V::add(V::load(x + i), V::load(tail)));
    }
  }
  if (sum_row != nullptr) write_row<V>(sum_row, x, element, n, S(1));
  T sum[4] = {V::zero(), V::zero(), V::zero(), V::zero()};
  for (int64_t i = 0, k = 0; i < padded; i += L, k = (k + 1) & 3) sum[k] = V::add(sum[k], V::load(x + i));
  const S mean = V::sum(V::add(V::add(sum[0], sum[1]), V::add(sum[2], sum[3]))) / S(n);
  T square[4] = {V::zero(), V::zero(), V::zero(), V::zero()};
  int64_t i = 0;
  for (int64_t k = 0; i + L <= n; i += L, k = (k + 1) & 3) {
    const T d = V::sub(V::load(x + i), V::set1(mean));
    V::store(x + i, d);
    square[k] = V::fma(d, d, square[k]);
  }
  if (i < n) {
    const T d = V::range(V::sub(V::load(x + i), V::set1(mean)), 0, int(n - i) - 1, S(0));
    V::store(x + i, d);
    square[0] = V::fma(d, d, square[0]);
  }
  const S variance = V::sum(V::add(V::add(square[0], square[1]), V::add(square[2], square[3]))) / S(n);
  if constexpr (sizeof(S) == 8) {
    return S(1) / __builtin_sqrt(variance + eps);
  } else {
    return S(1 / __builtin_sqrt(double(variance) + eps));
  }
}

// The factors of a dropout are written in any case, also where nothing is dropped from the input.
template <class V>
inline typename V::S centred_row(typename V::S* x, const NormInput& p, int64_t row, typename V::S* factors,
                                 bool drops_input, void* sum = nullptr) {
  const int64_t size = element_size(p.element);
  const bool drops = p.drop.kept != 0;
  if (drops) keep_factors(factors, p, row);
  return centred_row<V>(
      x, static_cast<const char*>(p.input) + row * p.input_stride * size,
      p.residual == nullptr ? nullptr : static_cast<const char*>(p.residual) + row * p.residual_stride * size,
      p.element, p.columns, p.eps, drops && drops_input ? factors : nullptr,
      sum == nullptr ? nullptr : static_cast<char*>(sum) + row * p.columns * size);
}

template <class V>
void norm_rows(const NormProblem& p, int64_t first, int64_t last, void* scratch) {
  using S = typename V::S;
  using T = typename V::T;
  constexpr int64_t L = V::lanes;
  const int64_t n = p.columns, padded = (n + L - 1) / L * L, size = element_size(p.element);
  S *x = static_cast<S*>(scratch), *weight = x + p.padded_columns, *bias = weight + p.padded_columns,
    *factors = bias + p.padded_columns;
  read_row<V>(weight, p.weight, p.element, n);
  read_row<V>(bias, p.bias, p.element, n);
  for (int64_t row = first; row < last; ++row) {
    const S factor = centred_row<V>(x, p, row, factors, true, p.sum);
    for (int64_t i = 0; i < padded; i += L) {
      const T y = V::mul(V::load(x + i), V::set1(factor));
      V::store(x + i, V::fma(y, V::load(weight + i), V::load(bias + i)));
    }
    write_row<V>(static_cast<char*>(p.output) + row * n * size, x, p.element, n, S(1));
  }
}

// With y = (x - mean) * factor and s = gradient * weight, the gradient of x is factor * (s - mean(s) - y
// mean(s y)).
template <class V>
void norm_rows_backward(const NormBackwardProblem& p, int64_t first, int64_t last, void* weight_sums,
                        void* bias_sums, void* scratch) {
  using S = typename V::S;
  using T = typename V::T;
  constexpr int64_t L = V::lanes;
  const int64_t n = p.columns, padded = (n + L - 1) / L * L, size = element_size(p.element);
  S *x = static_cast<S*>(scratch), *g = x + p.padded_columns, *weight = g + p.padded_columns,
    *factors = weight + p.padded_columns;
  S *to_weight = static_cast<S*>(weight_sums), *to_bias = static_cast<S*>(bias_sums);
  read_row<V>(weight, p.weight, p.element, n);
  for (int64_t row = first; row < last; ++row) {
    const S factor = centred_row<V>(x, p, row, factors, !p.of_sum);
    read_row<V>(g, static_cast<const char*>(p.gradient) + row * n * size, p.element, n);
    T plain[2] = {V::zero(), V::zero()}, product[2] = {V::zero(), V::zero()};
    for (int64_t i = 0, k = 0; i < padded; i += L, k ^= 1) {
      const T y = V::mul(V::load(x + i), V::set1(factor)), gradient = V::load(g + i);
      const T s = V::mul(gradient, V::load(weight + i));
      V::store(to_weight + i, V::fma(gradient, y, V::load(to_weight + i)));
      V::store(to_bias + i, V::add(gradient, V::load(to_bias + i)));
      plain[k] = V::add(plain[k], s);
      product[k] = V::fma(s, y, product[k]);
      V::store(x + i, y);
      V::store(g + i, s);
    }
    const T mean = V::set1(V::sum(V::add(plain[0], plain[1])) / S(n)),
            slope = V::set1(-V::sum(V::add(product[0], product[1])) / S(n));
    for (int64_t i = 0; i < padded; i += L)
      V::store(x + i, V::fma(V::load(x + i), slope, V::sub(V::load(g + i), mean)));
    write_row<V>(static_cast<char*>(p.output) + row * n * size, x, p.element, n, factor);
    if (p.drop.kept == 0) continue;
    for (int64_t i = 0; i < padded; i += L) V::store(x + i, V::mul(V::load(x + i), V::load(factors + i)));
    write_row<V>(static_cast<char*>(p.input_output) + row * n * size, x, p.element, n, factor);
  }
}

}  // namespace
