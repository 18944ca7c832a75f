// Relative positions (Transformer-XL): a second term of the scores, the query with its own bias times the
// row of a table that the distance of the key says.
//
// All pairs of a row of queries and a column of keys are multiplied with the table's row by the same
// product: a warp's 16 queries with the count + 15 distances that a tile of `count` keys has from them. The
// result is by distance; read with a column that moves with the row it is by key. Both ways go through the
// warp's scratch.
#pragma once
#include "band.cuh"

namespace longformer::cuda {

// Sixteen rows of float32 numbers in shared memory that belong to one warp.
template <int columns>
struct Scratch {
  static constexpr u32 pitch = columns + 4, bytes = 16 * 4 * pitch;
  u32 base;

  LONGFORMER_DEVICE u32 place(int row, int column) const {
    return base + 4 * (static_cast<u32>(row) * pitch + static_cast<u32>(column));
  }
  // Takes a product in, behind what was read before.
  template <int count>
  LONGFORMER_DEVICE void fill(const float (&x)[count / 8][4]) const {
    const int lane = lane_index(), pair = 2 * (lane & 3);
    warp_barrier();
#pragma unroll
    for (int n = 0; n < count / 8; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e)
        shared_store(place((lane >> 2) + 8 * (e >> 1), 8 * n + pair + (e & 1)), bits_of(x[n][e]));
    warp_barrier();
  }
  LONGFORMER_DEVICE float at(int row, int column) const {
    return shared_load(place(row, column));
  }
};

// The rows of the table for `count` distances from `low` on, in steps of the head's dilation. Those that the
// table lacks are zeros: no query sees a key that far.
template <class C, int count>
LONGFORMER_DEVICE void copy_distances(const BandedParameters& p, const Place& at, int low, u32 to) {
  copy_rows<C, count>(to, p.relative, at.head, p.dim, [&](int row) {
    const int index = p.relative_zero + (low + row) * at.step;
    return index >= 0 && index < p.relative_rows ? index : -1;
  });
}

// scores [16 queries, count keys] += queries . distances, where row r sees key c at distance
// r + count - 1 - c of the tile.
template <class C, int count, class S>
LONGFORMER_DEVICE void add_positions(float (&scores)[1][count / 8][4], const Operand<C> (&query)[1],
                                     u32 distances, const S& scratch) {
  const int lane = lane_index(), pair = 2 * (lane & 3);
  float by_distance[1][(count + 16) / 8][4];
  multiply_rows<C, 1, count + 16>(by_distance, query, distances);
  scratch.template fill<count + 16>(by_distance[0]);
#pragma unroll
  for (int n = 0; n < count / 8; ++n)
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      const int row = (lane >> 2) + 8 * (e >> 1);
      scores[0][n][e] += scratch.at(row, row + count - 1 - (8 * n + pair + (e & 1)));
    }
}

// The other way round: what is by key comes back by distance.
template <int count, class S>
LONGFORMER_DEVICE void to_distances(float (&by_distance)[1][(count + 16) / 8][4],
                                    const float (&by_key)[1][count / 8][4], const S& scratch) {
  const int lane = lane_index(), pair = 2 * (lane & 3);
  scratch.template fill<count>(by_key[0]);
#pragma unroll
  for (int n = 0; n < (count + 16) / 8; ++n)
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      const int row = (lane >> 2) + 8 * (e >> 1), column = row + count - 1 - (8 * n + pair + (e & 1));
      by_distance[0][n][e] = column >= 0 && column < count ? scratch.at(row, column) : 0.0f;
    }
}

// The tiles of keys with the distances that they have from a block of queries: keys, values, then C::rows +
// C::tile rows of the table.
template <class C>
struct RelativeTiles {
  static constexpr u32 tile_bytes = C::tile * C::row_bytes,
                       stage_bytes = 2 * tile_bytes + (C::rows + C::tile) * C::row_bytes;
  KeyTiles<C> keys;

  LONGFORMER_DEVICE u32 stage(int tile, u32 stages) const {
    return stages + static_cast<u32>(tile % C::stages) * stage_bytes;
  }
  LONGFORMER_DEVICE void prefetch(const BandedParameters& p, const Place& at, int tile, u32 stages) const {
    if (tile < keys.tiles) {
      const u32 to = stage(tile, stages);
      keys.copy(p, at, tile, to, to + tile_bytes);
      copy_distances<C, C::rows + C::tile>(p, at, at.first - (keys.first_local(tile) + C::tile - 1),
                                           to + 2 * tile_bytes);
    }
    copy_commit();
  }
  // The distances of a warp's own queries.
  LONGFORMER_DEVICE static u32 distances(u32 stage, int warp_row) {
    return stage + 2 * tile_bytes + static_cast<u32>(warp_row) * C::row_bytes;
  }
};

}  // namespace longformer::cuda
