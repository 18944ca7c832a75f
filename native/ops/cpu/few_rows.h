// A linear layer on a few rows. Compiled once for every instruction set like band_*.h. Reads each weight
// once, in the order of memory, and multiplies it with all rows. A row's result does not depend on the number
// of rows.
#pragma once
#include <cstddef>
#include <cstdint>

#include "activations.h"
#include "band_tile.h"
#include "few_rows_problem.h"
#include "lane_sums.h"

namespace {

using longformer::cpu::FewRowsProblem;

// How many bytes ahead weights are prefetched. The processor's own prefetching ends with the page.
constexpr ptrdiff_t kAhead = 1024;

// dots[row * lanes * lanes + output * lanes ..] = the lanes' sums of OUTPUTS weight rows times ROWS rows of
// the input, whose last vectors are filled up with zeros.
template <class V, Element E, int OUTPUTS, int ROWS>
inline void multiply_rows(const typename V::S* x, ptrdiff_t ldx, const char* weight, ptrdiff_t stride,
                          ptrdiff_t n, typename V::S* dots) {
  using T = typename V::T;
  T sum[OUTPUTS][ROWS], w[OUTPUTS];
#pragma GCC unroll 2
  for (int o = 0; o < OUTPUTS; ++o)
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r) sum[o][r] = V::zero();
  const auto add = [&](ptrdiff_t i) __attribute__((always_inline)) {
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r) {
      const T y = V::load(x + r * ldx + i);
#pragma GCC unroll 2
      for (int o = 0; o < OUTPUTS; ++o) sum[o][r] = V::fma(w[o], y, sum[o][r]);
    }
  };
  ptrdiff_t i = 0;
  for (; i + V::lanes <= n; i += V::lanes) {
#pragma GCC unroll 2
    for (int o = 0; o < OUTPUTS; ++o) {
      w[o] = load_element<V>(weight + o * stride, i, E);
      __builtin_prefetch(weight + o * stride + i * element_size(E) + kAhead);
    }
    add(i);
  }
  if (i < n) {
    for (int o = 0; o < OUTPUTS; ++o) {
      alignas(64) typename V::S tail[V::lanes];
      read_row<V>(tail, weight + o * stride + i * element_size(E), E, n - i);
      w[o] = V::load(tail);
    }
    add(i);
  }
#pragma GCC unroll 2
  for (int o = 0; o < OUTPUTS; ++o)
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r) V::store(dots + (r * V::lanes + o) * V::lanes, sum[o][r]);
}

template <class V, Element E, int OUTPUTS>
inline void multiply_all_rows(const FewRowsProblem& p, const char* weight, ptrdiff_t stride,
                              typename V::S* dots) {
  constexpr int most = V::max_vectors == 4 ? 8 : 4;  // rows whose sums fit the registers
  const auto* x = static_cast<const typename V::S*>(p.input);
  const ptrdiff_t ldx = p.padded_inputs, n = p.inputs;
  for (int64_t r = 0; r < p.rows;) {
    const auto* from = x + r * ldx;
    auto* to = dots + r * V::lanes * V::lanes;
    const int64_t left = p.rows - r;
    if (left >= most) {
      multiply_rows<V, E, OUTPUTS, most>(from, ldx, weight, stride, n, to);
      r += most;
    } else if (left >= 4) {
      multiply_rows<V, E, OUTPUTS, 4>(from, ldx, weight, stride, n, to);
      r += 4;
    } else if (left >= 2) {
      multiply_rows<V, E, OUTPUTS, 2>(from, ldx, weight, stride, n, to);
      r += 2;
    } else {
      multiply_rows<V, E, OUTPUTS, 1>(from, ldx, weight, stride, n, to);
      r += 1;
    }
  }
}

// Outputs [first, last) with a weight of type W.
template <class V, Element E, Element W = E>
void few_rows_of(const FewRowsProblem& p, int64_t first, int64_t last, typename V::S* dots) {
  using S = typename V::S;
  constexpr int64_t L = V::lanes;
  const ptrdiff_t size = element_size(E), stride = p.weight_stride * element_size(W);
  const char* weight = static_cast<const char*>(p.weight);
  // One row of weights after the other reads memory fastest; two at a time halve the reading of an input that
  // does not fit into the first-level cache.
  const bool pairs = p.rows * p.padded_inputs * int64_t(sizeof(S)) > 24 * 1024;
  for (int64_t o = first; o < last; o += L) {
    const int64_t count = smaller(L, last - o);
    for (int64_t i = 0; i < count;) {
      const char* from = weight + (o + i) * stride;
      if (pairs && i + 2 <= count) {
        multiply_all_rows<V, W, 2>(p, from, stride, dots + i * L);
        i += 2;
      } else {
        multiply_all_rows<V, W, 1>(p, from, stride, dots + i * L);
        i += 1;
      }
    }
    alignas(64) S bias[L] = {}, scale[L] = {}, y[L], residual[L];
    if constexpr (W == Element::int8) std::memcpy(scale, p.weight_scale + o, size_t(count) * sizeof(S));
    if (p.bias != nullptr) read_row<V>(bias, static_cast<const char*>(p.bias) + o * size, E, count);
    for (int64_t r = 0; r < p.rows; ++r) {
      for (int64_t i = count; i < L; ++i) V::store(dots + r * L * L + i * L, V::zero());
      const int64_t at = (r * p.outputs + o) * size;
      typename V::T sum = lane_sums<V>(dots + r * L * L);
      if constexpr (W == Element::int8) sum = V::mul(sum, V::load(scale));
      sum = activate<V>(V::add(sum, V::load(bias)), p.activation);
      if (p.residual != nullptr) {
        read_row<V>(residual, static_cast<const char*>(p.residual) + at, E, count);
        sum = V::add(sum, V::load(residual));
      }
      V::store(y, sum);
      write_row<V>(static_cast<char*>(p.output) + at, y, E, count, S(1));
    }
  }
}

template <class V>
void few_rows(const FewRowsProblem& p, int64_t first, int64_t last, void* scratch) {
  auto* dots = static_cast<typename V::S*>(scratch);
  if (p.weight_scale != nullptr) {
    constexpr Element bytes = Element::int8;
    if (p.element == Element::float32) return few_rows_of<V, Element::float32, bytes>(p, first, last, dots);
    if (p.element == Element::bfloat16) return few_rows_of<V, Element::bfloat16, bytes>(p, first, last, dots);
    return few_rows_of<V, Element::float16, bytes>(p, first, last, dots);
  }
  if (p.element == Element::float32) return few_rows_of<V, Element::float32>(p, first, last, dots);
  if (p.element == Element::bfloat16) return few_rows_of<V, Element::bfloat16>(p, first, last, dots);
  few_rows_of<V, Element::float16>(p, first, last, dots);
}

}  // namespace
