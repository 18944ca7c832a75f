// Attention of bfloat16 by whole tiles (tiles.h): pairs as in band_bfloat16.h, in the same memory, but that
// what would be read across comes transposed (TileCache).
#pragma once
#include "band_bfloat16.h"
#include "band_gemm.h"
#include "tiles.h"
#include "transpose_cells.h"

namespace {

struct BFloat16Tiled : FloatAvx512 {};
struct TiledProduct : FloatAvx512 {};

// C = (zero | C | C * alpha) + A . B, A [rows][n], B [n][16 vectors] in cells, n a multiple of 8.
template <>
struct Products<TiledProduct> {
  static constexpr bool by_tiles = true;
  // Of a product of four tiles with n cells.
  static constexpr ptrdiff_t askings(ptrdiff_t n) { return 4 * (n / kTileCells) * kAskings; }

  static inline void run(float* c, ptrdiff_t ldc, const float* a, ptrdiff_t lda, const float* b,
                         ptrdiff_t ldb, ptrdiff_t rows, ptrdiff_t vectors, ptrdiff_t n, Start start,
                         Ahead& ahead, const float* alpha) {
    if (start == Start::rescale) rescale(c, ldc, rows, vectors, alpha);
    const bool add = start != Start::zero;
    for (ptrdiff_t row = 0; row < rows; row += kTileHeight) {
      const ptrdiff_t here = rows - row;
      for (ptrdiff_t v = 0; v < vectors; v += kAtOnce) {
        float* const to = c + row * ldc + v * kTileCells;
        const float *const from = a + row * lda, *const lanes = b + v * kTileCells;
        const ptrdiff_t columns = vectors - v < kAtOnce ? vectors - v : kAtOnce;
        if (here >= kTileHeight) {
          some(columns, to, ldc, from, lda, lanes, ldb, n, add, ahead);
          continue;
        }
        // Rows behind the last belong to somebody else.
        alignas(64) float all[kTileHeight * kAtOnce * kTileCells];
        constexpr ptrdiff_t ld = kAtOnce * kTileCells;
        for (ptrdiff_t r = 0; add && r < here; ++r) copy(all + r * ld, to + r * ldc, columns);
        some(columns, all, ld, from, lda, lanes, ldb, n, add, ahead);
        for (ptrdiff_t r = 0; r < here; ++r) copy(to + r * ldc, all + r * ld, columns);
      }
    }
  }

 private:
  static constexpr ptrdiff_t kAtOnce = 4;  // tiles of sums side by side
  // Lines that are asked for with a tile of A.
  static constexpr ptrdiff_t kAskings = 4;

  static inline void copy(float* to, const float* from, ptrdiff_t vectors) {
    for (ptrdiff_t v = 0; v < vectors; ++v)
      _mm512_storeu_ps(to + v * kTileCells, _mm512_loadu_ps(from + v * kTileCells));
  }

  static inline void rescale(float* c, ptrdiff_t ldc, ptrdiff_t rows, ptrdiff_t vectors, const float* alpha) {
    for (ptrdiff_t v = 0; v < vectors; ++v) {
      const __m512 factor = _mm512_loadu_ps(alpha + v * kTileCells);
      // Mostly the maximum stays what it was.
      if (_mm512_cmp_ps_mask(factor, _mm512_set1_ps(1), _CMP_NEQ_UQ) == 0) continue;
      for (ptrdiff_t r = 0; r < rows; ++r) {
        float* const at = c + r * ldc + v * kTileCells;
        _mm512_storeu_ps(at, _mm512_mul_ps(_mm512_loadu_ps(at), factor));
      }
    }
  }

  static inline void some(ptrdiff_t columns, float* c, ptrdiff_t ldc, const float* a, ptrdiff_t lda,
                          const float* b, ptrdiff_t ldb, ptrdiff_t n, bool add, Ahead& ahead) {
    switch (columns) {
      case 4:
        return block<4>(c, ldc, a, lda, b, ldb, n, add, ahead);
      case 3:
        return block<3>(c, ldc, a, lda, b, ldb, n, add, ahead);
      case 2:
        return block<2>(c, ldc, a, lda, b, ldb, n, add, ahead);
      default:
        return block<1>(c, ldc, a, lda, b, ldb, n, add, ahead);
    }
  }

  // Tiles 0 to 3 are the sums, 4 and 6 are tiles of A and B, 5 and 7 half ones.
  template <int N>
  static inline void block(float* c, ptrdiff_t ldc, const float* a, ptrdiff_t lda, const float* b,
                           ptrdiff_t ldb, ptrdiff_t n, bool add, Ahead& ahead) {
    constexpr ptrdiff_t size = sizeof(float);
    begin<N>(c, ldc * size, add);
    ptrdiff_t k = 0;
    Ahead::Lines lines = ahead.lines();
    for (; k + kTileCells <= n; k += kTileCells) {
      load_tile<4>(a + k, lda * size);
      step<N, 4, 6>(b + k * ldb, ldb * size);
      for (ptrdiff_t i = 0; i < kAskings; ++i) lines.ask();
    }
    ahead.lines() = lines;
    ahead.asked(k / kTileCells * kAskings);
    if (k < n) {
      load_tile<5>(a + k, lda * size);
      step<N, 5, 7>(b + k * ldb, ldb * size);
    }
    end<N>(c, ldc * size);
  }
  template <int N>
  static inline __attribute__((always_inline)) void begin(const float* c, ptrdiff_t stride, bool add) {
    if constexpr (N > 0) {
      begin<N - 1>(c, stride, add);
      if (add)
        load_tile<N - 1>(c + (N - 1) * kTileCells, stride);
      else
        zero_tile<N - 1>();
    }
  }
  template <int N, int A, int B>
  static inline __attribute__((always_inline)) void step(const float* b, ptrdiff_t stride) {
    if constexpr (N > 0) {
      step<N - 1, A, B>(b, stride);
      load_tile<B>(b + (N - 1) * kTileCells, stride);
      BFloat16Tiles::multiply_add<N - 1, A, B>();
    }
  }
  template <int N>
  static inline __attribute__((always_inline)) void end(float* c, ptrdiff_t stride) {
    if constexpr (N > 0) {
      end<N - 1>(c, stride);
      store_tile<N - 1>(c + (N - 1) * kTileCells, stride);
    }
  }
};

template <>
struct Cells<BFloat16Tiled> : Cells<BFloat16Avx512> {
  using Product = TiledProduct;
  using Registers = TilesWithHalves;
  // [rows][columns] to [columns][rows].
  static void transpose(float* to, ptrdiff_t ld_to, const float* from, ptrdiff_t ld_from, ptrdiff_t rows,
                        ptrdiff_t columns) {
    for (ptrdiff_t r = 0; r < rows; r += kTileCells)
      for (ptrdiff_t c = 0; c < columns; c += kTileCells)
        transpose_cells(to + c * ld_to + r, ld_to, from + r * ld_from + c, ld_from);
  }
};

}  // namespace
