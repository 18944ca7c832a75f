// Transposes cells of four bytes, whatever their bits mean.
#pragma once
#include <cstdint>

#include "vec_avx512.h"

namespace {

// 16 rows of 16 cells.
inline void transpose_cells(float* to, int64_t ld_to, const float* from, int64_t ld_from) {
  using V = FloatAvx512;
  V::T x[16], y[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) x[i] = V::load(from + i * ld_from);
#pragma GCC unroll 4
  for (int width = 1; width < 16; width *= 2) {
#pragma GCC unroll 16
    for (int i = 0; i < 8; ++i) {
      y[2 * i] = V::interleave_low(x[i], x[i + 8]);
      y[2 * i + 1] = V::interleave_high(x[i], x[i + 8]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) x[i] = y[i];
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) V::store(to + i * ld_to, x[i]);
}

}  // namespace
