// product.h by whole tiles (tiles.h): 32 rows of 32 outputs, a panel, are four tiles of sums. The panels are
// those of product_bfloat16.h and product_int8.h: 16 cells of 16 outputs are a tile as they are there.
#pragma once
#include "product.h"
#include "tiles.h"

namespace {

using longformer::cpu::kTiledDepth;

// The rows of the input that a tile takes.
struct TileRows {
  const char* data;
  ptrdiff_t stride;  // in bytes
};

// c [16 ROWS][32] (+)= a [16 ROWS][16 steps] . b [16 steps][32], in cells; asks for `next` meanwhile.
template <class Arithmetic, int ROWS>
inline __attribute__((always_inline)) void multiply_tiles(TileRows a0, TileRows a1, const float* b,
                                                          ptrdiff_t steps, float* c, bool add,
                                                          NextWeights next) {
  constexpr ptrdiff_t row = kPanel * sizeof(float);
  float* const lower = c + kTileHeight * kPanel;
  if (add) {
    load_tile<0>(c, row);
    load_tile<1>(c + kTileCells, row);
    if constexpr (ROWS == 2) {
      load_tile<2>(lower, row);
      load_tile<3>(lower + kTileCells, row);
    }
  } else {
    zero_tile<0>();
    zero_tile<1>();
    if constexpr (ROWS == 2) {
      zero_tile<2>();
      zero_tile<3>();
    }
  }
  for (ptrdiff_t k = 0; k < steps; ++k) {
    load_tile<6>(b, row);
    load_tile<4>(a0.data, a0.stride);
    Arithmetic::template multiply_add<0, 4, 6>();
    load_tile<7>(b + kTileCells, row);
    Arithmetic::template multiply_add<1, 4, 7>();
    if constexpr (ROWS == 2) {
      load_tile<5>(a1.data, a1.stride);
      Arithmetic::template multiply_add<2, 5, 6>();
      Arithmetic::template multiply_add<3, 5, 7>();
    }
    a0.data += kTileBytes;
    a1.data += kTileBytes;
    b += kTileCells * kPanel;
    for (ptrdiff_t line = 0; line < next.step; line += kTileBytes / ptrdiff_t(sizeof(float)))
      __builtin_prefetch(next.weights + line, 0, 2);
    next.weights += next.step;
  }
  store_tile<0>(c, row);
  store_tile<1>(c + kTileCells, row);
  if constexpr (ROWS == 2) {
    store_tile<2>(lower, row);
    store_tile<3>(lower + kTileCells, row);
  }
}

// Form is what product_bfloat16.h or product_int8.h have for multiply_unit; Arithmetic multiplies its tiles.
// Rows of bfloat16 are multiplied in place, but for those behind the last whole tile.
template <class Form, class Arithmetic, bool IN_PLACE>
void multiply_unit_by_tiles(const ProductProblem& p, const ProductUnit& u, void* scratch) {
  const Tiles tiles;
  constexpr int64_t stride = stride_of(kTiledDepth);
  const int64_t rows = u.last_row - u.first_row, padded_rows = (rows + 15) / 16 * 16,
                blocks = (p.cells + kTiledDepth - 1) / kTiledDepth, row_tiles = padded_rows / kTileHeight,
                groups = (row_tiles + 1) / 2, panels = u.most_panels;
  const bool in_place = IN_PLACE && !p.input.transposed && p.inputs % (2 * kTileCells) == 0;
  const int64_t whole_tiles = in_place ? rows / kTileHeight : 0;
  const ptrdiff_t from_block_to_block = panels < panels_of(p.outputs) ? padded_rows * stride : 0;
  float *const all_sums = static_cast<float*>(scratch),
               *const buffer = all_sums + padded_rows * kPanel * panels, *a = buffer + 16 * padded_rows;
  for (int64_t block = 0; block < blocks; ++block, a += from_block_to_block) {
    const int64_t first = block * kTiledDepth, depth = smaller(kTiledDepth, p.cells - first),
                  steps = (depth + kTileCells - 1) / kTileCells;
    if (!u.rows_are_read) {
      ProductUnit part = u;
      part.first_row += whole_tiles * kTileHeight;
      float* const to = a + whole_tiles * kTileHeight * stride;
      if (part.first_row < part.last_row) Form::read(p, part, first, depth, padded_rows, to, stride, buffer);
      // Weights behind the last are zeros, and so is what they are multiplied with.
      if (depth % kTileCells != 0)
        for (int64_t r = part.first_row; r < part.last_row; ++r)
          std::memset(a + (r - u.first_row) * stride + depth, 0,
                      size_t(steps * kTileCells - depth) * sizeof(float));
    }
    const auto rows_of_tile = [&](int64_t tile) -> TileRows {
      if (tile >= whole_tiles)
        return {reinterpret_cast<const char*>(a + tile * kTileHeight * stride),
                stride * ptrdiff_t(sizeof(float))};
      return {element_at(p.input, u.first_row + tile * kTileHeight, Form::kPerCell * first),
              p.input.stride * element_size(p.input.element)};
    };
    // Sums that are finished at once need no place beside those of the next panel.
    const int64_t sums_step = blocks > 1 ? padded_rows * kPanel : 0;
    const ptrdiff_t share = (kPanel * depth + groups * steps * 16 - 1) / (groups * steps * 16) * 16;
    float* sums = all_sums;
    for (int64_t panel = u.first_panel; panel < u.last_panel; ++panel, sums += sums_step) {
      const float* const b = p.packed + (panel * padded_cells(p.cells) + first) * kPanel;
      const float* ahead = panel + 1 < u.last_panel
                               ? b + padded_cells(p.cells) * kPanel
                               : p.packed + (u.first_panel * padded_cells(p.cells) + first + depth) * kPanel;
      for (int64_t tile = 0; tile < row_tiles; tile += 2, ahead += share * steps) {
        float* const c = sums + tile * kTileHeight * kPanel;
        if (block + 1 == blocks)
          ask_for_output(p, u, panel, tile * kTileHeight,
                         smaller(2 * kTileHeight, rows - tile * kTileHeight));
        const TileRows upper = rows_of_tile(tile);
        if (tile + 1 < row_tiles)
          multiply_tiles<Arithmetic, 2>(upper, rows_of_tile(tile + 1), b, steps, c, block > 0,
                                        {ahead, share});
        else
          multiply_tiles<Arithmetic, 1>(upper, upper, b, steps, c, block > 0, {ahead, share});
      }
      if (block + 1 == blocks) Form::finish(p, u, panel, sums, buffer);
    }
  }
}

}  // namespace
