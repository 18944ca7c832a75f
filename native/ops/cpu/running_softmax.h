// Shared by the kernels of a few queries over many tokens: the softmax of a matrix of scores [token][column]
// as a vertical operation, rescaled from one piece of the tokens to the next, and the weighted sums of the
// tokens' rows.
#pragma once
#include <cstddef>
#include <cstdint>

#include "few_rows.h"

namespace {

// The score of hidden keys, as in HF. Finite, so that a row without visible keys gives the mean of all
// values.
constexpr float lowest_of(float) {
  return -3.402823466e38f;
}
constexpr double lowest_of(double) {
  return -1.7976931348623157e308;
}

// A part that has seen no key: `columns` scores, `elements` of the contexts.
template <class V>
inline void clear_part(int64_t columns, int64_t elements, typename V::S* largest, typename V::S* sum,
                       typename V::S* context) {
  for (int64_t c = 0; c < columns; c += V::lanes) {
    V::store(largest + c, V::set1(lowest_of(typename V::S())));
    V::store(sum + c, V::zero());
  }
  for (int64_t i = 0; i < elements; i += V::lanes) V::store(context + i, V::zero());
}

// Scores [count][columns] to 2^(score - largest so far), and the factor of what was gathered before.
template <class V>
inline void normalise(int64_t columns, int64_t count, typename V::S* scores, typename V::S* largest,
                      typename V::S* sum, typename V::S* factor) {
  using T = typename V::T;
  for (int64_t c = 0; c < columns; c += V::lanes) {
    const T before = V::load(largest + c);
    T now = before;
    for (int64_t j = 0; j < count; ++j) now = V::max(now, V::load(scores + j * columns + c));
    const T f = exp2_of_one<V>(V::sub(before, now));
    T total = V::mul(V::load(sum + c), f);
    for (int64_t j = 0; j < count; ++j) {
      typename V::S* at = scores + j * columns + c;
      const T e = exp2_of_one<V>(V::sub(V::load(at), now));
      V::store(at, e);
      total = V::add(total, e);
    }
    V::store(largest + c, now);
    V::store(factor + c, f);
    V::store(sum + c, total);
  }
}

// context[row][VECTORS] = context * factor[row] + sum over keys of weight[key][row] * value[key]; without
// factors, as if they were 1. The values are of type E and `ldv` elements apart. Meanwhile `ahead`, of as
// many keys, is asked for.
template <class V, int ROWS, int VECTORS, Element E = Element::float32>
inline void gather_values(typename V::S* context, ptrdiff_t ldc, const typename V::S* factor,
                          const typename V::S* weight, ptrdiff_t ldw, const void* value, ptrdiff_t ldv,
                          const char* ahead, ptrdiff_t ahead_stride, ptrdiff_t ahead_step, int64_t keys) {
  using T = typename V::T;
  constexpr ptrdiff_t size = bytes_of<V>(E), in_line = kLine / (V::lanes * size);
  T sum[ROWS][VECTORS];
#pragma GCC unroll 8
  for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; ++v) {
      sum[r][v] = V::load(context + r * ldc + v * V::lanes);
      if (factor != nullptr) sum[r][v] = V::mul(sum[r][v], V::set1(factor[r]));
    }
  const char* row = static_cast<const char*>(value);
  for (int64_t j = 0; j < keys; ++j, row += ldv * size, ahead += ahead_stride) {
    T x[VECTORS];
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; ++v) {
      x[v] = load_element<V>(row, v * V::lanes, E);
      if (in_line < 2 || v % in_line == 0) __builtin_prefetch(ahead + v * ahead_step);
    }
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r) {
      const T w = V::set1(weight[j * ldw + r]);
#pragma GCC unroll 8
      for (int v = 0; v < VECTORS; ++v) sum[r][v] = V::fma(w, x[v], sum[r][v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; ++v) V::store(context + r * ldc + v * V::lanes, sum[r][v]);
}

}  // namespace
