// relative_banded_attention, backward: banded_backward's kernels with the second term of the scores, and
// one more for the table. Without atomic additions, as there. q is the query with the content bias,
// q_position the one with the position bias; the host adds their gradients up to those of the query and the
// biases.
//   grad_q = scale sum ds k,  grad_q_position = scale sum ds r,  grad_k = scale sum ds q,
//   grad_r = scale sum ds q_position over all pairs of its distance
#pragma once
#include "banded_backward.cuh"
#include "relative.cuh"

namespace longformer::cuda {

template <class C>
LONGFORMER_DEVICE void relative_backward_query(const BandedParameters& p) {
  static_assert(C::row_tiles == 1, "one row tile");
  Place at;
  if (!find_place<C::rows>(p, at, block_x())) return;
  using Tiles = RelativeTiles<C>;
  using S = Scratch<C::tile + 16>;
  const u32 queries = shared_base(), places = queries + C::rows * C::row_bytes,
            gradients = places + C::rows * C::row_bytes, stages = gradients + C::rows * C::row_bytes;
  const S scratch = {stages + C::stages * Tiles::stage_bytes + static_cast<u32>(warp_index()) * S::bytes};
  const int lane = lane_index(), pair = 2 * (lane & 3), warp_row = warp_index() * 16;
  Tiles tiles;
  tiles.keys.init(p, at);

  const auto query_token = [&](int row) { return visible_token<C>(p, at, at.first + row, at.length); };
  copy_rows<C, C::rows>(queries, p.q, places, p.q_position, at.head, p.dim, query_token);
  copy_rows<C, C::rows>(gradients, p.grad_out, at.head, p.dim, query_token);
  copy_commit();
#pragma unroll
  for (int tile = 0; tile < C::stages - 1; ++tile) tiles.prefetch(p, at, tile, stages);
  copy_wait<C::stages - 1>();
  block_barrier();
  float delta[2], lse[2];
  query_statistics<C>(p, at, gradients, warp_row, delta, lse);

  Operand<C> query[1], place[1], gradient[1];
  query[0].init(queries, warp_row, 0);
  place[0].init(places, warp_row, 0);
  gradient[0].init(gradients, warp_row, 0);
  float grad_q[1][C::pieces][4], grad_position[1][C::pieces][4];
  clear<C>(grad_q);
  clear<C>(grad_position);
  Dropout dropout;
  if (C::dropout) dropout.init(p, at.head);

  for (int tile = 0; tile < tiles.keys.tiles; ++tile) {
    copy_wait<C::stages - 2>();
    block_barrier();
    tiles.prefetch(p, at, tile + C::stages - 1, stages);
    const u32 stage = tiles.stage(tile, stages), distances = Tiles::distances(stage, warp_row);
    const int first = tiles.keys.first_local(tile), row0 = at.first + warp_row;
    if (!band_touches(p, row0, 16, first, C::tile)) continue;
    const Columns columns = local_columns<C>(p, at, first, tiles.keys.high);
    const bool masked = !(columns.all(C::tile) && band_covers(p, row0, 16, first, C::tile));
    float scores[1][C::tile / 8][4], weights[1][C::tile / 8][4];
    multiply_rows<C, 1, C::tile>(scores, query, stage);
    add_positions<C, C::tile>(scores, place, distances, scratch);
    multiply_rows<C, 1, C::tile>(weights, gradient, stage + Tiles::tile_bytes);
#pragma unroll
    for (int n = 0; n < C::tile / 8; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int row = row0 + (lane >> 2) + 8 * (e >> 1), column = 8 * n + pair + (e & 1);
        float probability = exp2_of(multiply_add(scores[0][n][e], p.scale_log2, -lse[e >> 1]));
        if (masked && !(columns.has(column) && in_band(p, row, first + column))) probability = 0.0f;
        float weight = weights[0][n][e];
        if (C::dropout)
          weight *=
              dropout.factor(Dropout::of_query(at.token(row)), Dropout::of_key(at.token(first + column)));
        scores[0][n][e] = probability * (weight - delta[e >> 1]);
      }
    add_weighted<C, 1, C::tile>(grad_q, scores, stage);
    float by_distance[1][(C::tile + 16) / 8][4];
    to_distances<C::tile>(by_distance, scores, scratch);
    add_weighted<C, 1, C::tile + 16>(grad_position, by_distance, distances);
  }
  warp_barrier();
  sums_to_tile<C>(grad_q[0], p.scale, p.scale, queries, warp_row);
  sums_to_tile<C>(grad_position[0], p.scale, p.scale, places, warp_row);
  warp_barrier();
  const auto token = [&](int row) { return at.token_of_row(row); };
  store_rows<C, 16>(queries, warp_row, p.grad_q, at.head, p.heads, p.dim, token);
  store_rows<C, 16>(places, warp_row, p.grad_position, at.head, p.heads, p.dim, token);
}

// A stage: queries, gradients, queries for the distances, the distances of the block's keys from them, lse
// and delta.
template <class C>
struct QueryStages {
  static constexpr u32 tile_bytes = C::tile * C::row_bytes, distances = 3 * tile_bytes,
                       statistics = distances + (C::rows + C::tile) * C::row_bytes,
                       bytes = statistics + 8 * C::tile;
};

template <class C>
LONGFORMER_DEVICE void relative_backward_key(const BandedParameters& p) {
  static_assert(C::row_tiles == 1, "one row tile");
  Place at;
  if (!find_place<C::rows>(p, at, block_x())) return;
  using Q = QueryStages<C>;
  using S = Scratch<32>;
  const u32 keys = shared_base(), values = keys + C::rows * C::row_bytes,
            stages = values + C::rows * C::row_bytes;
  const S scratch = {stages + C::stages * Q::bytes + static_cast<u32>(warp_index()) * S::bytes};
  const int lane = lane_index(), pair = 2 * (lane & 3), warp_row = warp_index() * 16;
  const int low = larger_of(at.first - p.window_right, 0),
            high = smaller_of(smaller_of(at.first + C::rows, at.length) + p.window_left, at.length);
  const int tiles = high <= low ? 0 : (high - low + C::tile - 1) / C::tile;
  const auto prefetch = [&](int tile) {
    const u32 stage = stages + static_cast<u32>(tile % C::stages) * Q::bytes;
    if (tile < tiles) {
      const int first = low + tile * C::tile;
      const auto token = [&](int row) { return visible_token<C>(p, at, first + row, high); };
      copy_rows<C, C::tile>(stage, p.q, stage + Q::tile_bytes, p.grad_out, at.head, p.dim, token);
      copy_rows<C, C::tile>(stage + 2 * Q::tile_bytes, p.q_position, at.head, p.dim, token);
      copy_distances<C, C::rows + C::tile>(p, at, first - (at.first + C::rows - 1), stage + Q::distances);
      for (int i = thread_index(); i < 2 * C::tile; i += C::threads) {
        const int a = first + i % C::tile;
        const float* from = i < C::tile ? p.lse : p.delta;
        copy_word(stage + Q::statistics + 4 * static_cast<u32>(i),
                  from + static_cast<long long>(a < high ? at.token(a) : 0) * p.heads + at.head, a < high);
      }
    }
    copy_commit();
  };
  const auto key_token = [&](int row) { return visible_token<C>(p, at, at.first + row, at.length); };
  copy_rows<C, C::rows>(keys, p.k, values, p.v, at.head, p.dim, key_token);
  copy_commit();
#pragma unroll
  for (int tile = 0; tile < C::stages - 1; ++tile) prefetch(tile);
  copy_wait<C::stages - 1>();
  block_barrier();
  Operand<C> key[1], value[1];
  key[0].init(keys, warp_row, 0);
  value[0].init(values, warp_row, 0);
  float grad_k[1][C::pieces][4], grad_v[1][C::pieces][4];
  clear<C>(grad_k);
  clear<C>(grad_v);
  Dropout dropout;
  if (C::dropout) dropout.init(p, at.head);

  for (int tile = 0; tile < tiles; ++tile) {
    copy_wait<C::stages - 2>();
    block_barrier();
    prefetch(tile + C::stages - 1);
    const u32 stage = stages + static_cast<u32>(tile % C::stages) * Q::bytes;
    const int first = low + tile * C::tile, key_row = at.first + warp_row;
    // The band from the keys' side: left and right change places.
    if (!(first <= key_row + 15 + p.window_left && first + C::tile - 1 >= key_row - p.window_right)) continue;
    float scores[1][C::tile / 8][4], weights[1][C::tile / 8][4];
    multiply_rows<C, 1, C::tile>(scores, key, stage);
    multiply_rows<C, 1, C::tile>(weights, value, stage + Q::tile_bytes);
#pragma unroll
    for (int group = 0; group < C::tile / 16; ++group) {
      // Sixteen queries at a time: query i and key r are at distance i + 15 - r of the 32 that are
      // multiplied.
      Operand<C> place[1];
      place[0].init(stage + 2 * Q::tile_bytes, 16 * group, 0);
      float by_distance[1][4][4];
      multiply_rows<C, 1, 32>(
          by_distance, place,
          stage + Q::distances + static_cast<u32>(16 * group + C::rows - 16 - warp_row) * C::row_bytes);
      scratch.template fill<32>(by_distance[0]);
#pragma unroll
      for (int n = 0; n < 2; ++n)
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const int i = 8 * n + pair + (e & 1);
          scores[0][2 * group + n][e] += scratch.at(i, i + 15 - ((lane >> 2) + 8 * (e >> 1)));
        }
    }
#pragma unroll
    for (int n = 0; n < C::tile / 8; ++n) {
      float lse[2], delta[2];
      const u32 statistics = stage + Q::statistics + 4 * static_cast<u32>(8 * n + pair);
      shared_load_two(statistics, lse[0], lse[1]);
      shared_load_two(statistics + 4 * C::tile, delta[0], delta[1]);
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int query = first + 8 * n + pair + (e & 1), row = key_row + (lane >> 2) + 8 * (e >> 1);
        float probability = exp2_of(multiply_add(scores[0][n][e], p.scale_log2, -row_lse(lse[e & 1])));
        if (!(query < high && in_band(p, query, row))) probability = 0.0f;
        float weight = weights[0][n][e], factor = 1.0f;
        if (C::dropout)
          factor = dropout.factor(Dropout::of_query(at.token(query)), Dropout::of_key(at.token(row)));
        weights[0][n][e] = probability * (weight * factor - delta[e & 1]);
        scores[0][n][e] = probability * factor;
      }
    }
    add_weighted<C, 1, C::tile>(grad_v, scores, stage + Q::tile_bytes);
    add_weighted<C, 1, C::tile>(grad_k, weights, stage);
  }
  warp_barrier();
  float factor[2];
#pragma unroll
  for (int half = 0; half < 2; ++half)
    factor[half] = key_token(warp_row + (lane >> 2) + 8 * half) >= 0 ? 1.0f : 0.0f;
  sums_to_tile<C>(grad_k[0], factor[0] * p.scale, factor[1] * p.scale, keys, warp_row);
  sums_to_tile<C>(grad_v[0], factor[0], factor[1], values, warp_row);
  warp_barrier();
  const auto token = [&](int row) { return at.token_of_row(row); };
  store_rows<C, 16>(keys, warp_row, p.grad_k, at.head, p.heads, p.dim, token);
  store_rows<C, 16>(values, warp_row, p.grad_v, at.head, p.heads, p.dim, token);
}

// The place of a distance's sums in `partial`.
template <class C>
LONGFORMER_DEVICE float* partial_distance(const BandedParameters& p, int chunk, int distance, int head) {
  return p.partial + ((static_cast<long long>(chunk) * p.distances + distance) * p.heads + head) * C::dim;
}

// Grid: x = (group of distances, chunk of blocks of queries), y = head. A block keeps 16 * C::row_tiles
// distances and passes the blocks of C::rows queries, 16 for each warp; a warp sums for all distances over
// its own queries, and in the end the warps' sums are added up in their order.
template <class C>
LONGFORMER_DEVICE void relative_table_sums(const BandedParameters& p) {
  constexpr int count = 16 * C::row_tiles, queries_of_block = 16 * C::warps, columns = count + 16;
  constexpr u32 query_bytes = queries_of_block * C::row_bytes,
                key_bytes = (queries_of_block + count) * C::row_bytes;
  using S = Scratch<columns>;
  const u32 queries = shared_base(), places = queries + query_bytes, gradients = places + query_bytes,
            keys = gradients + query_bytes, values = keys + key_bytes, table = values + key_bytes,
            scratches = table + count * C::row_bytes;
  const int lane = lane_index(), pair = 2 * (lane & 3), warp_row = warp_index() * 16;
  const S by_key = {scratches + static_cast<u32>(2 * warp_index()) * S::bytes},
          weight_by_key = {by_key.base + S::bytes};
  const int group = block_x() / p.chunks, chunk = block_x() % p.chunks;
  const int lowest = p.lowest + group * count;  // distance
  float sums[C::row_tiles][C::pieces][4];
#pragma unroll
  for (int m = 0; m < C::row_tiles; ++m)
#pragma unroll
    for (int piece = 0; piece < C::pieces; ++piece)
#pragma unroll
      for (int e = 0; e < 4; ++e) sums[m][piece][e] = 0.0f;

  const int end = smaller_of((chunk + 1) * p.chunk_length, p.tiles * p.sequences);
  for (int block = chunk * p.chunk_length; block < end; ++block) {
    Place at;
    if (!find_place<queries_of_block>(p, at, block)) continue;
    const int low = at.first - (lowest + count - 1);  // the first key
    if (low >= at.length || low + queries_of_block + count <= 0) continue;
    const auto query_token = [&](int row) { return visible_token<C>(p, at, at.first + row, at.length); };
    const auto key_token = [&](int row) {
      return low + row < 0 ? -1 : visible_token<C>(p, at, low + row, at.length);
    };
    block_barrier();  // what was there has been read
    copy_rows<C, queries_of_block>(queries, p.q, places, p.q_position, at.head, p.dim, query_token);
    copy_rows<C, queries_of_block>(gradients, p.grad_out, at.head, p.dim, query_token);
    copy_rows<C, queries_of_block + count>(keys, p.k, values, p.v, at.head, p.dim, key_token);
    copy_distances<C, count>(p, at, lowest, table);
    copy_commit();
    copy_wait<0>();
    block_barrier();

    Operand<C> query[1], gradient[1], distances[C::row_tiles];
    query[0].init(queries, warp_row, 0);
    gradient[0].init(gradients, warp_row, 0);
#pragma unroll
    for (int m = 0; m < C::row_tiles; ++m) distances[m].init(table, 16 * m, 0);
    const u32 own = static_cast<u32>(warp_row) * C::row_bytes;
    {
      float product[1][columns / 8][4];
      multiply_rows<C, 1, columns>(product, query, keys + own);
      by_key.template fill<columns>(product[0]);
      multiply_rows<C, 1, columns>(product, gradient, values + own);
      weight_by_key.template fill<columns>(product[0]);
    }
    // Rows are distances, columns the warp's queries.
    float scores[C::row_tiles][2][4];
    multiply_rows<C, C::row_tiles, 16>(scores, distances, places + own);
    Dropout dropout;
    if (C::dropout) dropout.init(p, at.head);
#pragma unroll
    for (int n = 0; n < 2; ++n)
#pragma unroll
      for (int side = 0; side < 2; ++side) {
        const int i = 8 * n + pair + side, query_row = at.first + warp_row + i,
                  token = query_token(warp_row + i);
        const long long statistics = static_cast<long long>(token < 0 ? 0 : token) * p.heads + at.head;
        const float lse = token < 0 ? infinity() : row_lse(load(p.lse + statistics)),
                    delta = token < 0 ? 0.0f : load(p.delta + statistics);
#pragma unroll
        for (int m = 0; m < C::row_tiles; ++m)
#pragma unroll
          for (int half = 0; half < 2; ++half) {
            const int d = 16 * m + (lane >> 2) + 8 * half, key = query_row - (lowest + d),
                      column = i - d + count - 1;
            const bool seen =
                in_band(p, query_row, key) && key >= 0 && key < at.length && is_visible<C>(p, at.token(key));
            float& score = scores[m][n][2 * half + side];
            const float probability =
                seen ? exp2_of(multiply_add(score + by_key.at(i, column), p.scale_log2, -lse)) : 0.0f;
            float weight = weight_by_key.at(i, column);
            if (C::dropout)
              weight *=
                  dropout.factor(Dropout::of_query(at.token(query_row)), Dropout::of_key(at.token(key)));
            score = probability * (weight - delta);
          }
      }
    add_weighted<C, C::row_tiles, 16>(sums, scores, places + own);
  }

  // Every warp's sums side by side, [warp][count][dim].
  block_barrier();
  const u32 all = shared_base();
#pragma unroll
  for (int m = 0; m < C::row_tiles; ++m)
#pragma unroll
    for (int piece = 0; piece < C::pieces; ++piece)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int row = warp_index() * count + 16 * m + (lane >> 2) + 8 * (e >> 1);
        shared_store(all + 4 * static_cast<u32>(row * C::dim + 8 * piece + pair + (e & 1)),
                     bits_of(sums[m][piece][e] * p.scale));
      }
  block_barrier();
  for (int i = thread_index(); i < count * C::dim; i += C::threads) {
    const int distance = group * count + i / C::dim;
    if (distance >= p.distances) break;
    float sum = 0.0f;
    for (int warp = 0; warp < C::warps; ++warp)
      sum += shared_load(all + 4 * static_cast<u32>(warp * count * C::dim + i));
    store(partial_distance<C>(p, chunk, distance, block_y()) + i % C::dim, sum);
  }
}

// Grid: x = distance, y = head; a thread for each element of a row. Rows that no query reaches are zeros
// before.
template <class C>
LONGFORMER_DEVICE void relative_table_merge(const BandedParameters& p) {
  const int distance = block_x(), head = block_y();
  const int step = p.dilations == nullptr ? p.dilation : load(p.dilations + head);
  const long long row = p.relative_zero + static_cast<long long>(p.lowest + distance) * step;
  if (row < 0 || row >= p.relative_rows) return;
  for (int d = thread_index(); d < p.dim; d += C::threads) {
    float sum = 0.0f;
    for (int chunk = 0; chunk < p.chunks; ++chunk)
      sum += load(partial_distance<C>(p, chunk, distance, head) + d);
    const long long element = (row * p.heads + head) * p.dim + d;
    if (C::type == kFloat32)
      store(static_cast<float*>(p.grad_relative) + element, sum);
    else
      store(static_cast<u16*>(p.grad_relative) + element, static_cast<u16>(pack<C::type>(sum, 0.0f)));
  }
}

}  // namespace longformer::cuda
