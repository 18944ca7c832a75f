// The parts of product.h that differ with two bfloat16 in a cell: reading, packing, and VDPBF16PS, which
// multiplies both and adds the products to a float32.
#pragma once
#include "product.h"
#include "transpose_cells.h"

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

// Cells of rows that are in memory as columns: for the pair `cell` of inputs the cells of `count` rows from
// `first` on, one behind the other. Zeros for the input behind an odd number.
inline void interleave_pair(const Operand& m, int64_t cell, int64_t columns, int64_t first, int64_t count,
                            uint32_t* to) {
  const auto* low = reinterpret_cast<const uint16_t*>(element_at(m, first, 2 * cell));
  if (2 * cell + 1 == columns) {
    for (int64_t i = 0; i < count; ++i) to[i] = low[i];
    return;
  }
  const auto* high = reinterpret_cast<const uint16_t*>(element_at(m, first, 2 * cell + 1));
  for (int64_t i = 0; i < count; ++i) to[i] = low[i] | uint32_t(high[i]) << 16;
}

// The sum and both numbers of each pair.
inline __m512 add_pair(__m512 pairs, __m512 sum) {
  const __m512i bits = _mm512_castps_si512(pairs);
  const __m512 low = _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16)),
               high = _mm512_castsi512_ps(_mm512_and_si512(bits, _mm512_set1_epi32(int(0xffff0000u))));
  return _mm512_add_ps(sum, _mm512_add_ps(low, high));
}

struct BFloat16Pairs {
  using V = FloatAvx512;
  static constexpr int64_t kPerCell = 2;
  static V::T multiply_add(V::T x, V::T weights, V::T sum) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(x), reinterpret_cast<__m512bh>(weights));
  }
  static void read(const ProductProblem& p, const ProductUnit& u, int64_t first, int64_t depth,
                   int64_t padded_rows, float* to, int64_t stride, float* buffer) {
    if (p.input.transposed) {
      const int64_t rows = u.last_row - u.first_row;
      RowSums<V> sums(p, u);
      for (int64_t k = 0; k < depth; k += 16) {
        for (int64_t j = 0; j < 16; ++j) {
          float* const row = buffer + j * padded_rows;
          if (k + j < depth)
            interleave_pair(p.input, first + k + j, p.inputs, u.first_row, rows,
                            reinterpret_cast<uint32_t*>(row));
          else
            std::memset(row, 0, size_t(rows) * sizeof(float));
        }
        sums.add(buffer, padded_rows, 16, add_pair);
        for (int64_t r = 0; r < rows; r += 16)
          transpose_cells(to + r * stride + k, stride, buffer + r, padded_rows);
      }
      sums.finish(first);
      return;
    }
    for (int64_t row = u.first_row; row < u.last_row; ++row, to += stride) {
      const int64_t whole = smaller(depth, p.inputs / 2 - first);
      std::memcpy(to, element_at(p.input, row, 2 * first), size_t(whole) * sizeof(float));
      if (whole < depth) read_pairs(p.input, row, p.inputs, first + whole, depth - whole, to + whole, 1);
    }
  }
  static void finish(const ProductProblem& p, const ProductUnit& u, int64_t panel, const float* sums,
                     const float*) {
    finish_panel<V>(p, u, panel, sums);
  }
};

inline void pack_pairs(const PackProblem& p, int64_t first, int64_t last, void* scratch) {
  const int64_t cells = pairs_of(p.inputs), padded = padded_cells(cells), size = padded * kPanel;
  if (p.weight.transposed) {
    for (int64_t k = 0; k < cells; ++k)
      for (int64_t panel = first; panel < last; ++panel) {
        float* const to = p.packed + panel * size + k * kPanel;
        const int64_t output = panel * kPanel, count = smaller(kPanel, p.outputs - output);
        if (count < kPanel) std::memset(to, 0, kPanel * sizeof(float));
        interleave_pair(p.weight, k, p.inputs, output, count, reinterpret_cast<uint32_t*>(to));
      }
    for (int64_t panel = first; panel < last; ++panel)
      std::memset(p.packed + panel * size + cells * kPanel, 0,
                  size_t(padded - cells) * kPanel * sizeof(float));
    return;
  }
  constexpr int64_t width = 64, ld = width + 16;
  float* const rows = static_cast<float*>(scratch);
  for (int64_t panel = first; panel < last; ++panel) {
    float* to = p.packed + panel * size;
    const int64_t output = panel * kPanel, count = smaller(kPanel, p.outputs - output);
    std::memset(rows, 0, size_t(kPanel * ld) * sizeof(float));
    for (int64_t k = 0; k < cells; k += width, to += width * kPanel) {
      const int64_t now = smaller(width, cells - k), padded_now = smaller(width, padded - k),
                    whole = smaller(now, p.inputs / 2 - k);
      for (int64_t o = 0; o < count; ++o) {
        std::memcpy(rows + o * ld, element_at(p.weight, output + o, 2 * k), size_t(whole) * sizeof(float));
        if (whole < now)
          read_pairs(p.weight, output + o, p.inputs, k + whole, now - whole, rows + o * ld + whole, 1);
        std::memset(rows + o * ld + now, 0, size_t(padded_now - now) * sizeof(float));
      }
      for (int64_t o = 0; o < kPanel; o += 16)
        for (int64_t i = 0; i < padded_now; i += 16)
          transpose_cells(to + i * kPanel + o, kPanel, rows + o * ld + i, ld);
    }
  }
}

}  // namespace
