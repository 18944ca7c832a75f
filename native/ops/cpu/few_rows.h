// A linear layer on a few rows. Compiled once for every instruction set like band_*.h. Reads each weight
// once and multiplies it with all rows. A row's result does not depend on the number of rows.
#pragma once
#include <cstddef>
#include <cstdint>

#include "activations.h"
#include "band_tile.h"
#include "few_rows_problem.h"
#include "lane_sums.h"

namespace {

using longformer::cpu::FewRowsProblem;

constexpr ptrdiff_t kLine = 64;  // bytes of a line of the cache

// How many bytes of weights are asked for ahead of those that are multiplied, which are as many steps as fill
// them; where steps are neighbours in memory, so many more than one step. What the processor asks for by
// itself ends with a page.
constexpr int64_t kAheadBytes = 12 * 1024, kMoreBytes = 4096;

// What the rows' inputs of a step may take of the first-level cache, beside weights of now and of soon; but
// no step is shorter than so many inputs.
constexpr int64_t kInputBytes = 16 * 1024, kLeastColumns = 768;

// Bytes of an element in memory; double has no other type than its own.
template <class V>
constexpr ptrdiff_t bytes_of(Element e) {
  return sizeof(typename V::S) == 8 ? 8 : e == Element::float32 ? 4 : e == Element::int8 ? 1 : 2;
}

// The weights that are asked for during a step, a line of each of its rows at a time: the first line, and the
// distances from row to row and from line to line.
struct AskedWeights {
  const char* first;
  ptrdiff_t row, step;
};

// OUTPUTS weight rows times ROWS rows of the input over n inputs, lane by lane: the sums, which add to
// those there unless the inputs are the first, are in dots[row * lanes * lanes + output * lanes ..]. The
// input's last vectors are filled up with zeros.
template <class V, Element E, int OUTPUTS, int ROWS>
inline void multiply_rows(const typename V::S* x, ptrdiff_t ldx, const char* weight, ptrdiff_t stride,
                          ptrdiff_t n, const AskedWeights& ahead, bool first, typename V::S* dots) {
  using T = typename V::T;
  constexpr ptrdiff_t size = bytes_of<V>(E), in_line = kLine / size;
  T sum[OUTPUTS][ROWS], w[OUTPUTS];
#pragma GCC unroll 4
  for (int o = 0; o < OUTPUTS; ++o)
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r)
      sum[o][r] = first ? V::zero() : V::load(dots + (r * V::lanes + o) * V::lanes);
  const auto add = [&](ptrdiff_t i) __attribute__((always_inline)) {
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r) {
      const T y = V::load(x + r * ldx + i);
#pragma GCC unroll 4
      for (int o = 0; o < OUTPUTS; ++o) sum[o][r] = V::fma(w[o], y, sum[o][r]);
    }
  };
  const auto add_whole = [&](ptrdiff_t i) __attribute__((always_inline)) {
#pragma GCC unroll 4
    for (int o = 0; o < OUTPUTS; ++o) w[o] = load_element<V>(weight + o * stride, i, E);
    add(i);
  };
  ptrdiff_t i = 0;
  const char* at = ahead.first;
  for (; i + in_line <= n; i += in_line, at += ahead.step) {
#pragma GCC unroll 4
    for (int o = 0; o < OUTPUTS; ++o) __builtin_prefetch(at + o * ahead.row);
#pragma GCC unroll 4
    for (ptrdiff_t j = 0; j < in_line; j += V::lanes) add_whole(i + j);
  }
  for (; i + V::lanes <= n; i += V::lanes) add_whole(i);
  if (i < n) {
#pragma GCC unroll 4
    for (int o = 0; o < OUTPUTS; ++o) {
      alignas(64) typename V::S tail[V::lanes];
      read_row<V>(tail, weight + o * stride + i * size, E, n - i);
      w[o] = V::load(tail);
    }
    add(i);
  }
#pragma GCC unroll 4
  for (int o = 0; o < OUTPUTS; ++o)
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r) V::store(dots + (r * V::lanes + o) * V::lanes, sum[o][r]);
}

// The same for all rows of the input, from input `from` on. All of them ask: with many rows memory would rest
// after the first few.
template <class V, Element E, int OUTPUTS>
inline void multiply_all_rows(const FewRowsProblem& p, const char* weight, ptrdiff_t stride, ptrdiff_t from,
                              ptrdiff_t n, const AskedWeights& ahead, typename V::S* dots) {
  const auto* x = static_cast<const typename V::S*>(p.input) + from;
  const ptrdiff_t ldx = p.padded_inputs;
  for (int64_t r = 0; r < p.rows;) {
    const auto* of_row = x + r * ldx;
    auto* to = dots + r * V::lanes * V::lanes;
    const int64_t left = p.rows - r;
    if (left >= 4) {
      multiply_rows<V, E, OUTPUTS, 4>(of_row, ldx, weight, stride, n, ahead, from == 0, to);
      r += 4;
    } else if (left >= 2) {
      multiply_rows<V, E, OUTPUTS, 2>(of_row, ldx, weight, stride, n, ahead, from == 0, to);
      r += 2;
    } else {
      multiply_rows<V, E, OUTPUTS, 1>(of_row, ldx, weight, stride, n, ahead, from == 0, to);
      r += 1;
    }
  }
}

// The products of outputs [first, last), step by step: a few outputs with some of the inputs. All steps of a
// vector of outputs come one after the other, and outputs change faster than inputs.
template <class V, Element W>
struct FewRowsSteps {
  // Weight rows of a step: their sums with four rows are as many independent chains of additions as the
  // registers hold, and each vector of the input is loaded once for all of them.
  static constexpr int kOutputs = V::max_vectors == 4 ? 4 : 2;
  static constexpr int64_t L = V::lanes, kGroups = L / kOutputs, size = bytes_of<V>(W);

  const FewRowsProblem& p;
  const ptrdiff_t stride;         // of weight rows, in bytes
  const int64_t columns, blocks;  // inputs of a step, and steps that make a row
  const int64_t ahead;            // so many steps
  typename V::S* const dots;

  FewRowsSteps(const FewRowsProblem& problem, typename V::S* sums)
      : p(problem),
        stride(problem.weight_stride * size),
        columns(
            smaller(problem.inputs, larger(kInputBytes / 4 / problem.rows / kLine * kLine, kLeastColumns))),
        blocks((problem.inputs + columns - 1) / columns),
        ahead((kAheadBytes + columns * size * kOutputs - 1) / (columns * size * kOutputs)),
        dots(sums) {}

  const char* weight(int64_t output, int64_t block) const {
    return static_cast<const char*>(p.weight) + output * stride + block * columns * size;
  }

  // What is asked for while a step of the outputs from `first` on is computed: also beyond those of a call,
  // which the thread's next one reads. Nothing new at the end.
  AskedWeights asked(int64_t first, int64_t block, int64_t group) const {
    const int64_t output = first + group * kOutputs;
    // Steps of whole rows are neighbours in memory, which answers fastest if it is asked in its own order,
    // and not for a line here and a line there.
    if (blocks == 1 && stride == columns * size) {
      const int64_t bytes = kOutputs * stride;
      const char *next = weight(output + kOutputs, 0) + kMoreBytes, *end = weight(p.outputs, 0);
      return next + bytes <= end ? AskedWeights{next, kLine, kOutputs * kLine}
                                 : AskedWeights{weight(output, 0), 0, 0};
    }
    const int64_t step = block * kGroups + group + ahead, vector = step / (kGroups * blocks),
                  other = first + vector * L + step % kGroups * kOutputs;
    return other + kOutputs <= p.outputs ? AskedWeights{weight(other, step / kGroups % blocks), stride, kLine}
                                         : AskedWeights{weight(output, block), 0, 0};
  }

  // The lanes' sums of `count` outputs, up to a vector.
  void run(int64_t first, int64_t count) const {
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t from = block * columns, n = smaller(columns, p.inputs - from);
      int64_t i = 0;
      for (; i + kOutputs <= count; i += kOutputs)
        multiply_all_rows<V, W, kOutputs>(p, weight(first + i, block), stride, from, n,
                                          asked(first, block, i / kOutputs), dots + i * L);
      for (; i < count; ++i)
        multiply_all_rows<V, W, 1>(p, weight(first + i, block), stride, from, n,
                                   {weight(first + i, block), 0, 0}, dots + i * L);
    }
  }
};

// Outputs [first, last) with a weight of type W.
template <class V, Element E, Element W = E>
void few_rows_of(const FewRowsProblem& p, int64_t first, int64_t last, typename V::S* dots) {
  using S = typename V::S;
  constexpr int64_t L = V::lanes;
  const ptrdiff_t size = element_size(E);
  const FewRowsSteps<V, W> steps(p, dots);
  for (int64_t o = first; o < last; o += L) {
    const int64_t count = smaller(L, last - o);
    steps.run(o, count);
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
