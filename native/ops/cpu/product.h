// A matrix product with bias, activation and residual. Compiled once for every instruction set like band_*.h.
// The result of a group of rows and two vectors of outputs stays in registers for kDepth inputs. A panel of
// the weight stays in the second-level cache for all rows of a unit.
#pragma once
#include "activations.h"
#include "band_tile.h"
#include "product_problem.h"

namespace {

using longformer::cpu::kDepth;
using longformer::cpu::kPanel;
using longformer::cpu::Operand;
using longformer::cpu::PackProblem;
using longformer::cpu::padded_cells;
using longformer::cpu::panels_of;
using longformer::cpu::ProductProblem;
using longformer::cpu::ProductUnit;
using longformer::cpu::stride_of;

constexpr int64_t kDepthStride = stride_of(kDepth);

// Rows of accumulators that fit the registers beside two vectors of weights and one of the input.
template <class V>
constexpr int kTileRows = V::max_vectors == 4 ? 14 : 6;

inline const char* element_at(const Operand& m, int64_t row, int64_t column) {
  const int64_t index = m.transposed ? column * m.stride + row : row * m.stride + column;
  return static_cast<const char*>(m.data) + index * element_size(m.element);
}

template <class V>
void pack_panels(const PackProblem& p, int64_t first, int64_t last, void* scratch) {
  constexpr int64_t width = 64, ld = width + 16;
  float* const rows = static_cast<float*>(scratch);
  const int64_t size = padded_cells(p.inputs) * kPanel;
  if (p.weight.transposed) {
    // All panels of an input together: they are side by side in memory.
    for (int64_t i = 0; i < p.inputs; ++i)
      for (int64_t panel = first; panel < last; ++panel) {
        float* const to = p.packed + panel * size + i * kPanel;
        const int64_t output = panel * kPanel, count = smaller(kPanel, p.outputs - output);
        if (count < kPanel) std::memset(to, 0, kPanel * sizeof(float));
        read_row<V>(to, element_at(p.weight, output, i), p.weight.element, count);
      }
    for (int64_t panel = first; panel < last; ++panel)
      std::memset(p.packed + panel * size + p.inputs * kPanel, 0,
                  size_t(size - p.inputs * kPanel) * sizeof(float));
    return;
  }
  for (int64_t panel = first; panel < last; ++panel) {
    float* to = p.packed + panel * size;
    const int64_t output = panel * kPanel, count = smaller(kPanel, p.outputs - output);
    std::memset(rows, 0, size_t(kPanel * ld) * sizeof(float));
    for (int64_t i = 0; i < p.inputs; i += width, to += width * kPanel) {
      const int64_t now = smaller(width, p.inputs - i), padded = smaller(width, padded_cells(p.inputs) - i);
      for (int64_t o = 0; o < count; ++o) {
        read_row<V>(rows + o * ld, element_at(p.weight, output + o, i), p.weight.element, now);
        for (int64_t k = now; k < padded; ++k) rows[o * ld + k] = 0;
      }
      transpose<V>(to, kPanel, rows, ld, kPanel, padded, 1.0f);
    }
  }
}

// The sums of a unit's rows over some of their inputs, while these pass by in vectors of rows.
template <class V>
class RowSums {
 public:
  RowSums(const ProductProblem& p, const ProductUnit& u)
      : rows_(u.last_row - u.first_row),
        to_(p.row_sums == nullptr || u.first_panel > 0 ? nullptr : p.row_sums + u.first_row) {
    if (to_ != nullptr) std::memset(sums_, 0, sizeof sums_);
  }
  // function(vector, sum) gives the sum and what `count` vectors, `step` floats apart, have for it.
  template <class Function>
  void add(const float* vectors, int64_t step, int count, const Function& function) {
    if (to_ == nullptr) return;
    for (int64_t row = 0; row < rows_; row += V::lanes) {
      typename V::T sum = V::load(sums_ + row);
      for (int i = 0; i < count; ++i) sum = function(V::load(vectors + i * step + row), sum);
      V::store(sums_ + row, sum);
    }
  }
  // Adds them to what the inputs before gave; these are the first ones where `first` is 0.
  void finish(int64_t first) {
    if (to_ == nullptr) return;
    for (int64_t row = 0; row < rows_; ++row) to_[row] = first == 0 ? sums_[row] : to_[row] + sums_[row];
  }

 private:
  const int64_t rows_;
  float* const to_;
  alignas(64) float sums_[longformer::cpu::kMostUnitRows];
};

// Inputs [first, first + depth) of a unit's rows, to rows that are `stride` apart.
template <class V>
void read_input(const ProductProblem& p, const ProductUnit& u, int64_t first, int64_t depth,
                int64_t padded_rows, float* to, int64_t stride, float* buffer) {
  const int64_t rows = u.last_row - u.first_row;
  if (!p.input.transposed) {
    for (int64_t r = 0; r < rows; ++r)
      read_row<V>(to + r * stride, element_at(p.input, u.first_row + r, first), p.input.element, depth);
    return;
  }
  RowSums<V> sums(p, u);
  for (int64_t k = 0; k < depth; k += 16) {
    for (int64_t j = 0; j < 16; ++j) {
      float* row = buffer + j * padded_rows;
      if (k + j < depth)
        read_row<V>(row, element_at(p.input, u.first_row, first + k + j), p.input.element, rows);
      else
        std::memset(row, 0, size_t(rows) * sizeof(float));
    }
    sums.add(buffer, padded_rows, 16, V::add);
    transpose<V>(to + k, stride, buffer, padded_rows, 16, rows, 1.0f);
  }
  sums.finish(first);
}

// Prefetches a unit's next inputs into the second-level cache, some lines with every tile, where the input is
// transposed: its rows are so far apart that the processor does not find the next by itself, as it does those
// of others.
class NextInputs {
 public:
  // Inputs [first, first + depth) of a transposed input; nothing where depth is 0.
  NextInputs(const ProductProblem& p, const ProductUnit& u, int64_t first, int64_t depth, int64_t tiles) {
    if (depth <= 0) return;
    const int64_t size = element_size(p.input.element);
    row_ = element_at(p.input, u.first_row, first);
    stride_ = p.input.stride * size;
    bytes_ = (u.last_row - u.first_row) * size;
    rows_ = depth;
    at_ = line_of(row_);
    lines_ = (rows_ * (bytes_ / kLine + 1) + tiles - 1) / tiles;
  }
  void ask() {
    for (int64_t i = 0; i < lines_ && rows_ > 0; ++i) {
      __builtin_prefetch(at_, 0, 2);
      at_ += kLine;
      if (at_ < row_ + bytes_) continue;
      --rows_;
      row_ += stride_;
      at_ = line_of(row_);
    }
  }

 private:
  static constexpr ptrdiff_t kLine = 64;
  static const char* line_of(const char* p) { return p - reinterpret_cast<uintptr_t>(p) % kLine; }
  const char *row_ = nullptr, *at_ = nullptr;
  ptrdiff_t stride_ = 0, bytes_ = 0;
  int64_t rows_ = 0, lines_ = 0;
};

// Prefetches what is read next: weights from `weights` on, so many floats a step.
struct NextWeights {
  const float* weights;
  ptrdiff_t step;
};

// The bias of a panel in float32; zeros where there is none.
template <class V>
struct PanelBias {
  alignas(64) float values[kPanel] = {};
  PanelBias(const ProductProblem& p, int64_t panel) {
    const int64_t output = panel * kPanel, count = smaller(kPanel, p.outputs - output);
    if (p.bias != nullptr)
      read_row<V>(values, static_cast<const char*>(p.bias) + output * element_size(p.bias_element),
                  p.bias_element, count);
  }
};

// A panel to the output: activation and residual of value(row of the unit, output of the panel).
template <class V, class Value>
inline __attribute__((always_inline)) void finish_rows(const ProductProblem& p, const ProductUnit& u,
                                                       int64_t panel, const Value& value) {
  using T = typename V::T;
  constexpr int L = V::lanes;
  const int64_t output = panel * kPanel, count = smaller(kPanel, p.outputs - output),
                size = element_size(p.element);
  alignas(64) float row[kPanel], other[kPanel];
  const Activation activation = p.activation;
  for (int64_t r = 0; r < u.last_row - u.first_row; ++r) {
    const int64_t at = ((u.first_row + r) * p.output_stride + output) * size;
    char* const to = static_cast<char*>(p.output) + at;
    const char* const residual = p.residual == nullptr ? nullptr : static_cast<const char*>(p.residual) + at;
    if (count == kPanel) {
#pragma GCC unroll 2
      for (int i = 0; i < kPanel; i += L) {
        T x = activate<V>(value(r, i), activation);
        if (residual != nullptr) x = V::add(x, load_element<V>(residual, i, p.element));
        store_element<V>(to, i, p.element, x);
      }
      continue;
    }
    if (residual != nullptr) read_row<V>(other, residual, p.element, count);
    for (int i = 0; i < count; i += L) {
      T x = activate<V>(value(r, i), activation);
      if (residual != nullptr) x = V::add(x, V::load(other + i));
      V::store(row + i, x);
    }
    write_row<V>(to, row, p.element, count, 1.0f);
  }
}

// Sums of a panel in float32 to the output.
template <class V>
void finish_panel(const ProductProblem& p, const ProductUnit& u, int64_t panel, const float* sums) {
  const PanelBias<V> bias(p, panel);
  finish_rows<V>(
      p, u, panel, [&](int64_t row, int i) __attribute__((always_inline)) {
        return V::add(V::load(sums + row * kPanel + i), V::load(bias.values + i));
      });
}

// How four bytes of input and weight are multiplied: as a float32 each.
template <class V>
struct Floats {
  static constexpr int64_t kPerCell = 1;  // inputs
  static typename V::T multiply_add(typename V::T x, typename V::T weights, typename V::T sum) {
    return V::fma(x, weights, sum);
  }
  static void read(const ProductProblem& p, const ProductUnit& u, int64_t first, int64_t depth,
                   int64_t padded_rows, float* to, int64_t stride, float* buffer) {
    read_input<V>(p, u, first, depth, padded_rows, to, stride, buffer);
  }
  static void finish(const ProductProblem& p, const ProductUnit& u, int64_t panel, const float* sums,
                     const float*) {
    finish_panel<V>(p, u, panel, sums);
  }
};

// c [ROWS][2 vectors] (+)= a [ROWS][depth] . b [depth][2 vectors].
template <class V, class Cells, int ROWS>
inline __attribute__((always_inline)) void multiply_tile(const float* a, const float* b, ptrdiff_t depth,
                                                         float* c, bool add, NextWeights next) {
  using T = typename V::T;
  constexpr int L = V::lanes;
#pragma GCC unroll 16
  for (int r = ROWS; r < 2 * ROWS; ++r) {  // the sums of the next group
    __builtin_prefetch(c + r * kPanel, 1);
    if (L == 16) __builtin_prefetch(c + r * kPanel + L, 1);
  }
  T sum[ROWS][2];
  if (add) {
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; ++r) {
      sum[r][0] = V::load(c + r * kPanel);
      sum[r][1] = V::load(c + r * kPanel + L);
    }
  } else {
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; ++r) sum[r][0] = sum[r][1] = V::zero();
  }
  for (ptrdiff_t k = 0; k < depth; ++k, b += kPanel) {
    const T low = V::load(b), high = V::load(b + L);
    __builtin_prefetch(next.weights);
    next.weights += next.step;
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; ++r) {
      const T x = V::set1(a[r * kDepthStride + k]);
      sum[r][0] = Cells::multiply_add(x, low, sum[r][0]);
      sum[r][1] = Cells::multiply_add(x, high, sum[r][1]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; ++r) {
    V::store(c + r * kPanel, sum[r][0]);
    V::store(c + r * kPanel + L, sum[r][1]);
  }
}

template <class V, class Cells, int ROWS>
inline void multiply_group(int rows, const float* a, const float* b, ptrdiff_t depth, float* c, bool add,
                           NextWeights next) {
  if constexpr (ROWS > 0) {
    if (rows == ROWS)
      multiply_tile<V, Cells, ROWS>(a, b, depth, c, add, next);
    else
      multiply_group<V, Cells, ROWS - 1>(rows, a, b, depth, c, add, next);
  }
}

// Asks for the lines of the output that some rows of a panel will be written to: they are far apart, and a
// store to a line that is in no cache waits for it.
inline __attribute__((always_inline)) void ask_for_output(const ProductProblem& p, const ProductUnit& u,
                                                          int64_t panel, int64_t row, int64_t count) {
  const int64_t size = element_size(p.element);
  const char* to =
      static_cast<const char*>(p.output) + ((u.first_row + row) * p.output_stride + panel * kPanel) * size;
  for (int64_t r = 0; r < count; ++r, to += p.output_stride * size) {
    __builtin_prefetch(to, 1);
    if (size == 4) __builtin_prefetch(to + 64, 1);
  }
}

template <class V, class Cells = Floats<V>>
void multiply_unit(const ProductProblem& p, const ProductUnit& u, void* scratch) {
  constexpr int most = kTileRows<V>, width = 2 * V::lanes;
  const int64_t rows = u.last_row - u.first_row, padded_rows = (rows + 15) / 16 * 16;
  const int64_t blocks = (p.cells + kDepth - 1) / kDepth, groups = (rows + most - 1) / most,
                rows_each = rows / groups, rows_left = rows - rows_each * groups,
                tiles = groups * (kPanel / width), panels = u.most_panels;
  const ptrdiff_t step = (kPanel + tiles - 1) / tiles,
                  from_block_to_block = panels < panels_of(p.outputs) ? padded_rows * kDepthStride : 0;
  float *const all_sums = static_cast<float*>(scratch),
               *const buffer = all_sums + padded_rows * kPanel * panels, *a = buffer + 16 * padded_rows;
  for (int64_t block = 0; block < blocks; ++block, a += from_block_to_block) {
    const int64_t first = block * kDepth, depth = smaller(kDepth, p.cells - first);
    if (!u.rows_are_read) Cells::read(p, u, first, depth, padded_rows, a, kDepthStride, buffer);
    // Every tile prefetches its share of the next panel's weights, all of them together the whole.
    const ptrdiff_t share = (kPanel * depth + tiles - 1) / tiles;
    const int64_t next_depth =
        p.input.transposed && !u.rows_are_read ? smaller(kDepth, p.cells - first - depth) : 0;
    NextInputs inputs(p, u, Cells::kPerCell * (first + depth), Cells::kPerCell * next_depth,
                      groups * (kPanel / width) * (u.last_panel - u.first_panel));
    float* sums = all_sums;
    for (int64_t panel = u.first_panel; panel < u.last_panel; ++panel, sums += padded_rows * kPanel) {
      const float* const b = p.packed + (panel * padded_cells(p.cells) + first) * kPanel;
      const float* const next =
          panel + 1 < u.last_panel
              ? b + padded_cells(p.cells) * kPanel
              : p.packed + (u.first_panel * padded_cells(p.cells) + first + depth) * kPanel;
      const float* ahead = next;
      for (int column = 0; column < kPanel; column += width) {
        int64_t row = 0;
        for (int64_t g = 0; g < groups; ++g, ahead += share) {
          const int64_t count = rows_each + (g < rows_left ? 1 : 0);
          if (block + 1 == blocks) ask_for_output(p, u, panel, row, count);
          multiply_group<V, Cells, most>(int(count), a + row * kDepthStride, b + column, depth,
                                         sums + row * kPanel + column, block > 0, {ahead, step});
          inputs.ask();
          row += count;
        }
      }
      if (block + 1 == blocks) Cells::finish(p, u, panel, sums, buffer);
    }
  }
}

template <class V, class Function>
inline void for_each_element(const void* first, const void* second, void* to, int64_t count, Element element,
                             const Function& function) {
  int64_t i = 0;
  for (; i + V::lanes <= count; i += V::lanes)
    store_element<V>(to, i, element,
                     function(load_element<V>(first, i, element), load_element<V>(second, i, element)));
  if (i == count) return;
  const int64_t size = element_size(element);
  alignas(64) typename V::S x[V::lanes], y[V::lanes];
  read_row<V>(x, static_cast<const char*>(first) + i * size, element, count - i);
  read_row<V>(y, static_cast<const char*>(second) + i * size, element, count - i);
  V::store(x, function(V::load(x), V::load(y)));
  write_row<V>(static_cast<char*>(to) + i * size, x, element, count - i, 1.0f);
}

template <class V>
void activate_elements(const void* input, const void* residual, void* output, int64_t count, Element element,
                       Activation activation) {
  using T = typename V::T;
  if (residual == nullptr)
    for_each_element<V>(
        input, input, output, count,
        element, [activation](T x, T) __attribute__((always_inline)) { return activate<V>(x, activation); });
  else
    for_each_element<V>(
        input, residual, output, count, element, [activation](T x, T r) __attribute__((always_inline)) {
          return V::add(activate<V>(x, activation), r);
        });
}

template <class V>
void activate_elements_backward(const void* gradient, const void* input, void* output, int64_t count,
                                Element element, Activation activation) {
  using T = typename V::T;
  for_each_element<V>(
      gradient, input, output, count, element, [activation](T g, T x) __attribute__((always_inline)) {
        return activate_backward<V>(g, x, activation);
      });
}

}  // namespace
