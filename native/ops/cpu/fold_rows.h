// A few rows times a matrix whose rows are in memory: the key projection of a head folded into its queries.
// Compiled once for every instruction set like band_*.h.
#pragma once
#include "band_tile.h"
#include "product_problem.h"

namespace {

using longformer::cpu::FoldProblem;

// Adds COUNT rows of the matrix from `first` on, times their factors, to a row of the result.
template <class V, int COUNT>
inline void add_rows_times(const FoldProblem& p, int64_t first, const float* factors, float* to) {
  typename V::T factor[COUNT];
#pragma GCC unroll 4
  for (int k = 0; k < COUNT; ++k) factor[k] = V::set1(factors[first + k]);
  const int64_t stride = p.weight_stride * element_size(p.element);
  const char* const rows = static_cast<const char*>(p.weight) + first * stride;
  for (int64_t i = 0; i < p.channels; i += V::lanes) {
    typename V::T sum = V::load(to + i);
#pragma GCC unroll 4
    for (int k = 0; k < COUNT; ++k) {
      sum = V::fma(factor[k], load_element<V>(rows + k * stride, i, p.element), sum);
      // The processor's own prefetching begins anew with each row.
      __builtin_prefetch(rows + (k + COUNT) * stride + i * element_size(p.element));
    }
    V::store(to + i, sum);
  }
}

// A few rows of the matrix stay in the first-level cache for all rows of the result; the matrix is read once,
// in the order of memory. A row's result does not depend on the others.
template <class V>
void fold_rows(const FoldProblem& p) {
  constexpr int once = 4;
  for (int64_t r = 0; r < p.rows; ++r)
    std::memset(p.output + r * p.channels, 0, size_t(p.channels) * sizeof(float));
  int64_t first = 0;
  for (; first + once <= p.inputs; first += once)
    for (int64_t r = 0; r < p.rows; ++r)
      add_rows_times<V, once>(p, first, p.input + r * p.inputs, p.output + r * p.channels);
  for (; first < p.inputs; ++first)
    for (int64_t r = 0; r < p.rows; ++r)
      add_rows_times<V, 1>(p, first, p.input + r * p.inputs, p.output + r * p.channels);
}

}  // namespace
