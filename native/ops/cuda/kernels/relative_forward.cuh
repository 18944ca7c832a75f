// relative_banded_attention, forward: banded_forward with the second term of the scores.
#pragma once
#include "banded_forward.cuh"
#include "relative.cuh"

namespace longformer::cuda {

template <class C>
LONGFORMER_DEVICE void relative_forward(const BandedParameters& p) {
  static_assert(C::row_tiles == 1, "one row tile");
  Place at;
  if (!find_place<C::rows>(p, at, block_x())) return;
  using Tiles = RelativeTiles<C>;
  using S = Scratch<C::tile + 16>;
  const u32 queries = shared_base(), places = queries + C::rows * C::row_bytes,
            stages = places + C::rows * C::row_bytes;
  const S scratch = {stages + C::stages * Tiles::stage_bytes + static_cast<u32>(warp_index()) * S::bytes};
  const int lane = lane_index(), pair = 2 * (lane & 3), warp_row = warp_index() * 16;
  Tiles tiles;
  tiles.keys.init(p, at);

  copy_rows<C, C::rows>(queries, p.q, places, p.q_position, at.head, p.dim,
                        [&](int row) { return visible_token<C>(p, at, at.first + row, at.length); });
  copy_commit();
#pragma unroll
  for (int tile = 0; tile < C::stages - 1; ++tile) tiles.prefetch(p, at, tile, stages);
  copy_wait<C::stages - 1>();
  block_barrier();
  Softmax<C> softmax;
  Operand<C> query[1], place[1];
  query[0].init(queries, warp_row, p.flip);
  place[0].init(places, warp_row, p.flip);
  softmax.init();
  Dropout dropout;
  if (C::dropout) dropout.init(p, at.head);

  for (int tile = 0; tile < tiles.keys.tiles; ++tile) {
    copy_wait<C::stages - 2>();
    block_barrier();
    tiles.prefetch(p, at, tile + C::stages - 1, stages);
    const u32 stage = tiles.stage(tile, stages);
    const int first = tiles.keys.first_local(tile), row = at.first + warp_row;
    if (!band_touches(p, row, 16, first, C::tile)) continue;
    const Columns columns = local_columns<C>(p, at, first, tiles.keys.high);
    float scores[1][C::tile / 8][4];
    multiply_rows<C, 1, C::tile>(scores, query, stage);
    add_positions<C, C::tile>(scores, place, Tiles::distances(stage, warp_row), scratch);
    if (!(columns.all(C::tile) && band_covers(p, row, 16, first, C::tile))) {
#pragma unroll
      for (int n = 0; n < C::tile / 8; ++n)
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const int column = 8 * n + pair + (e & 1);
          if (!columns.has(column) || !in_band(p, row + (lane >> 2) + 8 * (e >> 1), first + column))
            scores[0][n][e] = -infinity();
        }
    }
    softmax.template add<C::tile>(scores, stage + Tiles::tile_bytes, p.scale_log2, [&](int, int n, int e) {
      return dropout.factor(Dropout::of_query(at.token(row + (lane >> 2) + 8 * (e >> 1))),
                            Dropout::of_key(at.token(first + 8 * n + pair + (e & 1))));
    });
  }
  store_attended<C>(p, at, softmax, queries, warp_row);
}

}  // namespace longformer::cuda
