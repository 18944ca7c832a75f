// What product.h does differently with two bfloat16 in a cell: reading, packing, and VDPBF16PS, which
// multiplies both and adds the products to a float32.
#pragma once
#include "product.h"

namespace {

using longformer::cpu::pairs_of;

inline uint16_t half_at(const Operand& m, int64_t row, int64_t column) {
  uint16_t value;
  std::memcpy(&value, element_at(m, row, column), sizeof value);
  return value;
}

// Cells [first, first + count) of a row of the matrix, `step` cells apart.
inline void read_pairs(const Operand& m, int64_t row, int64_t columns, int64_t first, int64_t count,
                       float* to, int64_t step) {
  for (int64_t k = 0; k < count; ++k) {
    const int64_t column = 2 * (first + k);
    const uint32_t low = half_at(m, row, column),
                   high = column + 1 < columns ? half_at(m, row, column + 1) : uint16_t(0);
    const uint32_t cell = low | high << 16;
    std::memcpy(to + k * step, &cell, sizeof cell);
  }
}

struct BFloat16Pairs {
  using V = FloatAvx512;
  static V::T multiply_add(V::T x, V::T weights, V::T sum) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(x), reinterpret_cast<__m512bh>(weights));
  }
  static void read(const ProductProblem& p, const ProductUnit& u, int64_t first, int64_t depth, int64_t,
                   float* to, float*) {
    for (int64_t row = u.first_row; row < u.last_row; ++row, to += kDepthStride) {
      if (p.input.transposed) {
        read_pairs(p.input, row, p.inputs, first, depth, to, 1);
        continue;
      }
      const int64_t whole = smaller(depth, p.inputs / 2 - first);
      std::memcpy(to, element_at(p.input, row, 2 * first), size_t(whole) * sizeof(float));
      if (whole < depth) read_pairs(p.input, row, p.inputs, first + whole, depth - whole, to + whole, 1);
    }
  }
};

inline void pack_pairs(const PackProblem& p, int64_t first, int64_t last, void*) {
  const int64_t cells = pairs_of(p.inputs), size = padded_cells(cells) * kPanel;
  for (int64_t panel = first; panel < last; ++panel) {
    float* const to = p.packed + panel * size;
    const int64_t output = panel * kPanel, count = smaller(kPanel, p.outputs - output);
    std::memset(to, 0, size_t(size) * sizeof(float));
    // A few lines of the panel at once, which stay in the cache for all its outputs.
    constexpr int64_t lines = 16;
    for (int64_t k = 0; k < cells; k += lines)
      for (int64_t o = 0; o < count; ++o)
        read_pairs(p.weight, output + o, p.inputs, k, smaller(lines, cells - k), to + k * kPanel + o, kPanel);
  }
}

}  // namespace
