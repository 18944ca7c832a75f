// LayerNorm of the sum of two rows; compiled once for every instruction set like band_*.h.
#pragma once
#include <cstddef>
#include <cstdint>

#include "band_tile.h"
#include "norm_problem.h"

namespace {

using longformer::cpu::NormProblem;

// Two passes over the row in the scratch, mean first: no cancellation between sums of squares. Four partial
// sums keep the chains short and the rounding of long rows small.
template <class V>
void norm_rows(const NormProblem& p, int64_t first, int64_t last, void* scratch) {
  using S = typename V::S;
  using T = typename V::T;
  constexpr int64_t L = V::lanes;
  const int64_t n = p.columns, padded = (n + L - 1) / L * L, size = element_size(p.element);
  S *x = static_cast<S*>(scratch), *weight = x + p.padded_columns, *bias = weight + p.padded_columns;
  read_row<V>(weight, p.weight, p.element, n);
  read_row<V>(bias, p.bias, p.element, n);
  for (int64_t row = first; row < last; ++row) {
    read_row<V>(x, static_cast<const char*>(p.input) + row * p.input_stride * size, p.element, n);
    if (p.residual != nullptr) {
      const char* r = static_cast<const char*>(p.residual) + row * p.residual_stride * size;
      int64_t i = 0;
      for (; i + L <= n; i += L) V::store(x + i, V::add(V::load(x + i), load_element<V>(r, i, p.element)));
      if (i < n) {
        alignas(64) S tail[L];
        read_row<V>(tail, r + i * size, p.element, n - i);
        V::store(x + i, V::add(V::load(x + i), V::load(tail)));
      }
    }
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
    S factor;
    if constexpr (sizeof(S) == 8) {
      factor = S(1) / __builtin_sqrt(variance + p.eps);
    } else {
      factor = S(1 / __builtin_sqrt(double(variance) + p.eps));
    }
    for (i = 0; i < padded; i += L) {
      const T y = V::mul(V::load(x + i), V::set1(factor));
      V::store(x + i, V::fma(y, V::load(weight + i), V::load(bias + i)));
    }
    write_row<V>(static_cast<char*>(p.output) + row * n * size, x, p.element, n, S(1));
  }
}

}  // namespace
