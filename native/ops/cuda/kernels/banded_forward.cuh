// banded_attention, forward: a block takes C::rows queries of one head and passes over the keys that they
// see, tile by tile, with the softmax kept up to date (its maximum and sum so far), so that no score leaves
// the registers. While a tile is worked on, the next ones are on their way to shared memory. Tiles outside
// the band are never loaded, and a warp leaves out those that only its neighbours see; only tiles on the
// band's edges are masked.
#pragma once
#include "band.cuh"

namespace longformer::cuda {

template <class C>
struct Softmax {
  float sums[C::row_tiles][C::pieces][4];
  float highest[C::row_tiles][2], total[C::row_tiles][2];

  LONGFORMER_DEVICE void init() {
#pragma unroll
    for (int m = 0; m < C::row_tiles; ++m) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        highest[m][half] = -infinity();
        total[m][half] = 0.0f;
      }
#pragma unroll
      for (int piece = 0; piece < C::pieces; ++piece)
#pragma unroll
        for (int e = 0; e < 4; ++e) sums[m][piece][e] = 0.0f;
    }
  }
  // Takes scores (-inf: not seen) of keys with their values in. Leaves the probabilities, dropped out.
  template <int count, class FactorOf>
  LONGFORMER_DEVICE void add(float (&scores)[C::row_tiles][count / 8][4], u32 values, float scale_log2,
                             const FactorOf& factor_of) {
#pragma unroll
    for (int m = 0; m < C::row_tiles; ++m) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float high = highest[m][half];
#pragma unroll
        for (int n = 0; n < count / 8; ++n)
          high = larger(high, larger(scores[m][n][2 * half], scores[m][n][2 * half + 1]));
        high = larger(high, shuffle_xor(high, 1));
        high = larger(high, shuffle_xor(high, 2));
        // A maximum that rose by less than 2^8 is left where it was: the sums need no scaling then, and
        // float32 has the room. Decided row by row, so that a row's result does not depend on its neighbours.
        if ((high - highest[m][half]) * scale_log2 <= 8.0f) high = highest[m][half];
        const float safe = high == -infinity() ? 0.0f : high;
        const float shrink = exp2_of((highest[m][half] - safe) * scale_log2), shift = -safe * scale_log2;
        highest[m][half] = high;
        float sum = total[m][half] * shrink;
#pragma unroll
        for (int n = 0; n < count / 8; ++n)
#pragma unroll
          for (int e = 0; e < 2; ++e) {
            const float p = exp2_of(multiply_add(scores[m][n][2 * half + e], scale_log2, shift));
            sum += p;
            scores[m][n][2 * half + e] = C::dropout ? p * factor_of(m, n, 2 * half + e) : p;
          }
        total[m][half] = sum;
        if (ballot(shrink != 1.0f) != 0) {
#pragma unroll
          for (int piece = 0; piece < C::pieces; ++piece) {
            sums[m][piece][2 * half] *= shrink;
            sums[m][piece][2 * half + 1] *= shrink;
          }
        }
      }
    }
    add_weighted<C, C::row_tiles, count>(sums, scores, values);
  }
};

// What a warp's queries see at last, and their log-sum-exp, by way of the tile of queries.
template <class C>
LONGFORMER_DEVICE void store_attended(const BandedParameters& p, const Place& at, const Softmax<C>& softmax,
                                      u32 queries, int warp_row) {
  const int lane = lane_index();
  warp_barrier();
#pragma unroll
  for (int m = 0; m < C::row_tiles; ++m) {
    float factor[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float total = softmax.total[m][half];
      total += shuffle_xor(total, 1);
      total += shuffle_xor(total, 2);
      const int a = at.first + warp_row + 16 * m + (lane >> 2) + 8 * half, token = at.token(a);
      const bool seen = a < at.length && is_visible<C>(p, token) && total != 0.0f;
      factor[half] = seen ? 1.0f / total : 0.0f;
      if ((lane & 3) == 0 && a < at.length)
        store(p.lse + static_cast<long long>(token) * p.heads + at.head,
              seen ? (softmax.highest[m][half] * p.scale_log2 + log2_of(total)) * 0.6931471805599453f
                   : -infinity());
    }
    sums_to_tile<C>(softmax.sums[m], factor[0], factor[1], queries, warp_row + 16 * m);
  }
  warp_barrier();
  store_rows<C, 16 * C::row_tiles>(queries, warp_row, p.out, at.head, p.heads, p.dim,
                                   [&](int row) { return at.token_of_row(row); });
}

template <class C>
LONGFORMER_DEVICE void banded_forward(const BandedParameters& p) {
  Place at;
  if (!find_place<C::rows>(p, at, block_x())) return;
  constexpr u32 tile_bytes = C::tile * C::row_bytes;
  const u32 queries = shared_base(), stages = queries + C::rows * C::row_bytes;
  const int lane = lane_index(), pair = 2 * (lane & 3);
  const int warp_row = warp_index() * 16 * C::row_tiles;  // in the tile of queries
  KeyTiles<C> keys;
  keys.init(p, at);

  const auto query_token = [&](int row) { return visible_token<C>(p, at, at.first + row, at.length); };
  copy_rows<C, C::rows>(queries, p.q, at.head, p.dim, query_token);
  copy_commit();
#pragma unroll
  for (int tile = 0; tile < C::stages - 1; ++tile) keys.prefetch(p, at, tile, stages);

  Softmax<C> softmax;
  Operand<C> query[C::row_tiles];
  copy_wait<C::stages - 1>();
  block_barrier();
#pragma unroll
  for (int m = 0; m < C::row_tiles; ++m) query[m].init(queries, warp_row + 16 * m, p.flip);
  softmax.init();
  Dropout dropout;
  if (C::dropout) dropout.init(p, at.head);

  for (int tile = 0; tile < keys.tiles; ++tile) {
    copy_wait<C::stages - 2>();
    block_barrier();
    keys.prefetch(p, at, tile + C::stages - 1, stages);
    const u32 stage = stages + static_cast<u32>(tile % C::stages) * (2 * tile_bytes);
    const auto factor_of = [&](int m, int n, int e) {
      const int row = at.first + warp_row + 16 * m + (lane >> 2) + 8 * (e >> 1);
      return dropout.factor(Dropout::of_query(at.token(row)),
                            Dropout::of_key(keys.token(p, at, tile, 8 * n + pair + (e & 1))));
    };
    if (C::flags && tile < keys.global_tiles) {
      float scores[C::row_tiles][C::global_tile / 8][4];
      multiply_rows<C, C::row_tiles, C::global_tile>(scores, query, stage);
      const int left = keys.globals - tile * C::global_tile;
      if (left < C::global_tile) {
#pragma unroll
        for (int m = 0; m < C::row_tiles; ++m)
#pragma unroll
          for (int n = 0; n < C::global_tile / 8; ++n)
#pragma unroll
            for (int e = 0; e < 4; ++e)
              if (8 * n + pair + (e & 1) >= left) scores[m][n][e] = -infinity();
      }
      softmax.template add<C::global_tile>(scores, stage + tile_bytes, p.scale_log2, factor_of);
      continue;
    }
    const int first = keys.first_local(tile), row = at.first + warp_row;
    if (!band_touches(p, row, 16 * C::row_tiles, first, C::tile)) continue;
    const Columns columns = local_columns<C>(p, at, first, keys.high);
    float scores[C::row_tiles][C::tile / 8][4];
    multiply_rows<C, C::row_tiles, C::tile>(scores, query, stage);
    if (!(columns.all(C::tile) && band_covers(p, row, 16 * C::row_tiles, first, C::tile))) {
#pragma unroll
      for (int m = 0; m < C::row_tiles; ++m)
#pragma unroll
        for (int n = 0; n < C::tile / 8; ++n)
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            const int column = 8 * n + pair + (e & 1);
            if (!columns.has(column) ||
                !in_band(p, row + 16 * m + (lane >> 2) + 8 * (e >> 1), first + column))
              scores[m][n][e] = -infinity();
          }
    }
    softmax.template add<C::tile>(scores, stage + tile_bytes, p.scale_log2, factor_of);
  }

  store_attended<C>(p, at, softmax, queries, warp_row);
}

}  // namespace longformer::cuda
