// banded_attention, backward, recomputed from the log-sum-exp, without atomic additions: the query kernel
// sums the gradient of its queries over their keys, the key kernel those of its keys and values over the
// queries that see them. With p the probability, f the dropout's factor and delta = grad_out . out of the
// query:
//   ds = p (f grad_out . v - delta),  grad_q = scale sum ds k,  grad_k = scale sum ds q,  grad_v = sum f p
//   grad_out
// Global keys are seen by every query of their sequence: global_key_sums lets each block take a chunk of the
// queries, global_key_merge adds the chunks up in order.
#pragma once
#include "band.cuh"

namespace longformer::cuda {

// lse in units of log2, +inf for a row without keys: its probabilities are 0.
LONGFORMER_DEVICE float row_lse(float lse) {
  return lse == -infinity() ? infinity() : lse * 1.4426950408889634f;
}

template <class C>
LONGFORMER_DEVICE void clear(float (&sums)[1][C::pieces][4]) {
#pragma unroll
  for (int piece = 0; piece < C::pieces; ++piece)
#pragma unroll
    for (int e = 0; e < 4; ++e) sums[0][piece][e] = 0.0f;
}

// The gradients of a warp's 16 queries.
template <class C>
struct QuerySums {
  Operand<C> query[1], gradient[1];
  float grad_q[1][C::pieces][4];

  LONGFORMER_DEVICE void init(u32 queries, u32 gradients, int row) {
    query[0].init(queries, row, 0);
    gradient[0].init(gradients, row, 0);
    clear<C>(grad_q);
  }
  // The keys of a stage. seen(row, column): whether the row sees the key; asked only where `masked`.
  template <int count, class Seen, class FactorOf>
  LONGFORMER_DEVICE void add(float scale_log2, const float (&lse)[2], const float (&delta)[2], u32 stage,
                             bool masked, const Seen& seen, const FactorOf& factor_of) {
    const int lane = lane_index(), pair = 2 * (lane & 3);
    float scores[1][count / 8][4], weights[1][count / 8][4];
    multiply_rows<C, 1, count>(scores, query, stage);
    multiply_rows<C, 1, count>(weights, gradient, stage + C::tile * C::row_bytes);
#pragma unroll
    for (int n = 0; n < count / 8; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int row = (lane >> 2) + 8 * (e >> 1), column = 8 * n + pair + (e & 1);
        float probability = exp2_of(multiply_add(scores[0][n][e], scale_log2, -lse[e >> 1]));
        if (masked && !seen(row, column)) probability = 0.0f;
        float weight = weights[0][n][e];
        if (C::dropout) weight *= factor_of(row, column);
        scores[0][n][e] = probability * (weight - delta[e >> 1]);
      }
    add_weighted<C, 1, count>(grad_q, scores, stage);
  }
};

// delta and lse of the rows of a warp that a lane has, (lane / 4) and eight below; delta is also written.
template <class C>
LONGFORMER_DEVICE void query_statistics(const BandedParameters& p, const Place& at, u32 gradients,
                                        int warp_row, float (&delta)[2], float (&lse)[2]) {
  const int lane = lane_index();
  const auto query_token = [&](int row) { return visible_token<C>(p, at, at.first + row, at.length); };
  // delta: two lanes to a row; then each lane takes those of its own two rows.
  float sum = 0.0f;
  const int delta_row = warp_row + (lane >> 1), delta_token = query_token(delta_row);
  if (delta_token >= 0) {
    const char* out = row_address<C>(p.saved_out, delta_token, at.head);
    for (int chunk = lane & 1; chunk * C::per_chunk < p.dim; chunk += 2) {
      const Vector x = load_chunk<C>(out, chunk, p.dim),
                   g = shared_load_vector(gradients + place_of<C>(delta_row, chunk));
#pragma unroll
      for (int i = 0; i < C::per_chunk; ++i)
        sum = multiply_add(element_of<C::type>(x, i), element_of<C::type>(g, i), sum);
    }
  }
  sum += shuffle_xor(sum, 1);
  if ((lane & 1) == 0 && at.first + delta_row < at.length)
    store(p.delta + static_cast<long long>(at.token(at.first + delta_row)) * p.heads + at.head, sum);
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = (lane >> 2) + 8 * half, token = query_token(warp_row + row);
    delta[half] = shuffle(sum, 2 * row);
    lse[half] =
        token < 0 ? infinity() : row_lse(load(p.lse + static_cast<long long>(token) * p.heads + at.head));
  }
}

template <class C>
LONGFORMER_DEVICE void banded_backward_query(const BandedParameters& p) {
  static_assert(C::row_tiles == 1, "one row tile");
  Place at;
  if (!find_place<C::rows>(p, at, block_x())) return;
  constexpr u32 tile_bytes = C::tile * C::row_bytes;
  const u32 queries = shared_base(), gradients = queries + C::rows * C::row_bytes,
            stages = gradients + C::rows * C::row_bytes;
  const int warp_row = warp_index() * 16;
  KeyTiles<C> keys;
  keys.init(p, at);

  const auto query_token = [&](int row) { return visible_token<C>(p, at, at.first + row, at.length); };
  copy_rows<C, C::rows>(queries, p.q, gradients, p.grad_out, at.head, p.dim, query_token);
  copy_commit();
#pragma unroll
  for (int tile = 0; tile < C::stages - 1; ++tile) keys.prefetch(p, at, tile, stages);
  copy_wait<C::stages - 1>();
  block_barrier();

  float delta[2], lse[2];
  query_statistics<C>(p, at, gradients, warp_row, delta, lse);

  QuerySums<C> sums;
  sums.init(queries, gradients, warp_row);
  Dropout dropout;
  if (C::dropout) dropout.init(p, at.head);

  for (int tile = 0; tile < keys.tiles; ++tile) {
    copy_wait<C::stages - 2>();
    block_barrier();
    keys.prefetch(p, at, tile + C::stages - 1, stages);
    const u32 stage = stages + static_cast<u32>(tile % C::stages) * (2 * tile_bytes);
    const auto factor_of = [&](int row, int column) {
      return dropout.factor(Dropout::of_query(at.token(at.first + warp_row + row)),
                            Dropout::of_key(keys.token(p, at, tile, column)));
    };
    if (C::flags && tile < keys.global_tiles) {
      const int left = keys.globals - tile * C::global_tile;
      sums.template add<C::global_tile>(
          p.scale_log2, lse, delta, stage, left < C::global_tile,
          [&](int, int column) { return column < left; }, factor_of);
      continue;
    }
    const int first = keys.first_local(tile), row0 = at.first + warp_row;
    if (!band_touches(p, row0, 16, first, C::tile)) continue;
    const Columns columns = local_columns<C>(p, at, first, keys.high);
    sums.template add<C::tile>(
        p.scale_log2, lse, delta, stage, !(columns.all(C::tile) && band_covers(p, row0, 16, first, C::tile)),
        [&](int row, int column) { return columns.has(column) && in_band(p, row0 + row, first + column); },
        factor_of);
  }
  warp_barrier();
  sums_to_tile<C>(sums.grad_q[0], p.scale, p.scale, queries, warp_row);
  warp_barrier();
  store_rows<C, 16>(queries, warp_row, p.grad_q, at.head, p.heads, p.dim,
                    [&](int row) { return at.token_of_row(row); });
}

// Shared by the local and the global key kernel: a block's keys and values are in two tiles, the queries low
// .. high of a class (with their gradients, lse and delta) pass by, and each warp sums for its 16 keys.
template <class C, bool local>
struct KeySums {
  static constexpr u32 tile_bytes = C::tile * C::row_bytes, stage_bytes = 2 * tile_bytes + 8 * C::tile;
  float grad_k[1][C::pieces][4], grad_v[1][C::pieces][4];

  // key_token(row): the token of a key of the block or -1.
  template <class KeyToken>
  LONGFORMER_DEVICE void run(const BandedParameters& p, const Place& at, int low, int high,
                             const KeyToken& key_token) {
    const u32 keys = shared_base(), values = keys + C::rows * C::row_bytes,
              stages = values + C::rows * C::row_bytes;
    const int lane = lane_index(), pair = 2 * (lane & 3), warp_row = warp_index() * 16;
    const int tiles = high <= low ? 0 : (high - low + C::tile - 1) / C::tile;
    const auto prefetch = [&](int tile) {
      const u32 stage = stages + static_cast<u32>(tile % C::stages) * stage_bytes;
      if (tile < tiles) {
        const int first = low + tile * C::tile;
        copy_rows<C, C::tile>(stage, p.q, stage + tile_bytes, p.grad_out, at.head, p.dim,
                              [&](int row) { return visible_token<C>(p, at, first + row, high); });
        for (int i = thread_index(); i < 2 * C::tile; i += C::threads) {
          const int row = i % C::tile, a = first + row;
          const float* from = i < C::tile ? p.lse : p.delta;
          copy_word(stage + 2 * tile_bytes + 4 * i,
                    from + static_cast<long long>(a < high ? at.token(a) : 0) * p.heads + at.head, a < high);
        }
      }
      copy_commit();
    };
    copy_rows<C, C::rows>(keys, p.k, values, p.v, at.head, p.dim, key_token);
    copy_commit();
#pragma unroll
    for (int tile = 0; tile < C::stages - 1; ++tile) prefetch(tile);
    copy_wait<C::stages - 1>();
    block_barrier();
    Operand<C> key[1], value[1];
    key[0].init(keys, warp_row, 0);
    value[0].init(values, warp_row, 0);
    clear<C>(grad_k);
    clear<C>(grad_v);
    Dropout dropout;
    u64 dropout_key[2] = {0, 0};
    if (C::dropout) {
      dropout.init(p, at.head);
#pragma unroll
      for (int half = 0; half < 2; ++half)
        dropout_key[half] = Dropout::of_key(larger_of(key_token(warp_row + (lane >> 2) + 8 * half), 0));
    }

    for (int tile = 0; tile < tiles; ++tile) {
      copy_wait<C::stages - 2>();
      block_barrier();
      prefetch(tile + C::stages - 1);
      const u32 stage = stages + static_cast<u32>(tile % C::stages) * stage_bytes;
      const int first = low + tile * C::tile, key_row = at.first + warp_row;
      // The band from the keys' side: left and right change places.
      if (local &&
          !(first <= key_row + 15 + p.window_left && first + C::tile - 1 >= key_row - p.window_right))
        continue;
      const bool masked =
          first + C::tile > high || (local && !(first >= key_row + 15 - p.window_right &&
                                                first + C::tile - 1 <= key_row + p.window_left));
      float scores[1][C::tile / 8][4], weights[1][C::tile / 8][4];
      multiply_rows<C, 1, C::tile>(scores, key, stage);
      multiply_rows<C, 1, C::tile>(weights, value, stage + tile_bytes);
#pragma unroll
      for (int n = 0; n < C::tile / 8; ++n) {
        float lse[2], delta[2];
        const u32 statistics = stage + 2 * tile_bytes + 4 * (8 * n + pair);
        shared_load_two(statistics, lse[0], lse[1]);
        shared_load_two(statistics + 4 * C::tile, delta[0], delta[1]);
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const int query = first + 8 * n + pair + (e & 1), row = (lane >> 2) + 8 * (e >> 1);
          float probability = exp2_of(multiply_add(scores[0][n][e], p.scale_log2, -row_lse(lse[e & 1])));
          if (masked && !(query < high && (!local || in_band(p, query, key_row + row)))) probability = 0.0f;
          float weight = weights[0][n][e], factor = 1.0f;
          if (C::dropout) factor = dropout.factor(Dropout::of_query(at.token(query)), dropout_key[e >> 1]);
          weights[0][n][e] = probability * (weight * factor - delta[e & 1]);
          scores[0][n][e] = probability * factor;
        }
      }
      add_weighted<C, 1, C::tile>(grad_v, scores, stage + tile_bytes);
      add_weighted<C, 1, C::tile>(grad_k, weights, stage);
    }
    warp_barrier();
  }
};

template <class C>
LONGFORMER_DEVICE void banded_backward_key(const BandedParameters& p) {
  static_assert(C::row_tiles == 1, "one row tile");
  Place at;
  if (!find_place<C::rows>(p, at, block_x())) return;
  const u32 keys = shared_base(), values = keys + C::rows * C::row_bytes;
  const int lane = lane_index(), warp_row = warp_index() * 16;
  // The gradients of keys that are not visible, or global, are zero here: the sum for them is not
  // used.
  const auto key_token = [&](int row) {
    const int a = at.first + row, token = at.token(a);
    return a < at.length && is_visible<C>(p, token) ? token : -1;
  };
  KeySums<C, true> sums;
  sums.run(p, at, larger_of(at.first - p.window_right, 0),
           smaller_of(smaller_of(at.first + C::rows, at.length) + p.window_left, at.length), key_token);
  float factor[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int a = at.first + warp_row + (lane >> 2) + 8 * half;
    factor[half] = a < at.length && (!C::flags || load(p.flags + at.token(a)) == 1) ? 1.0f : 0.0f;
  }
  sums_to_tile<C>(sums.grad_k[0], factor[0] * p.scale, factor[1] * p.scale, keys, warp_row);
  sums_to_tile<C>(sums.grad_v[0], factor[0], factor[1], values, warp_row);
  warp_barrier();
  const auto token = [&](int row) { return at.token_of_row(row); };
  store_rows<C, 16>(keys, warp_row, p.grad_k, at.head, p.heads, p.dim, token);
  store_rows<C, 16>(values, warp_row, p.grad_v, at.head, p.heads, p.dim, token);
}

// The place of a global key's sums in `partial`, [chunk][k or v][S, G, H, padded dim].
template <class C>
LONGFORMER_DEVICE float* partial_row(const BandedParameters& p, int chunk, int which, int sequence,
                                     int global, int head) {
  return p.partial +
         ((((static_cast<long long>(chunk) * 2 + which) * p.sequences + sequence) * p.globals + global) *
              p.heads +
          head) *
             C::dim;
}

// Grid: x = (sequence, group of C::rows global keys, chunk of queries), y = head.
template <class C>
LONGFORMER_DEVICE void global_key_sums(const BandedParameters& p) {
  const int groups = (p.globals + C::rows - 1) / C::rows;
  const int chunk = block_x() % p.chunks, group = block_x() / p.chunks % groups;
  Place at;
  at.sequence = block_x() / p.chunks / groups;
  at.head = block_y();
  at.step = 1;
  find_sequence(at.sequence, p.offsets, p.length, at.begin, at.length);
  at.first = group * C::rows;
  const int count = load(p.global_count + at.sequence), low = chunk * p.chunk_length;
  if (at.first >= count || low >= at.length) return;
  const int* tokens = p.global_token + static_cast<long long>(at.sequence) * p.globals;
  KeySums<C, false> sums;
  sums.run(p, at, low, smaller_of(low + p.chunk_length, at.length),
           [&](int row) { return at.first + row < count ? load(tokens + at.first + row) : -1; });
  const int lane = lane_index(), pair = 2 * (lane & 3);
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int global = at.first + warp_index() * 16 + (lane >> 2) + 8 * half;
    if (global >= count) continue;
    float* k = partial_row<C>(p, chunk, 0, at.sequence, global, at.head);
    float* v = partial_row<C>(p, chunk, 1, at.sequence, global, at.head);
#pragma unroll
    for (int piece = 0; piece < C::pieces; ++piece)
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        store(k + 8 * piece + pair + e, sums.grad_k[0][piece][2 * half + e] * p.scale);
        store(v + 8 * piece + pair + e, sums.grad_v[0][piece][2 * half + e]);
      }
  }
}

// Grid: x = (sequence, global key), y = head; a thread for each element of a row.
template <class C>
LONGFORMER_DEVICE void global_key_merge(const BandedParameters& p) {
  const int sequence = block_x() / p.globals, global = block_x() % p.globals, head = block_y();
  int begin, length;
  find_sequence(sequence, p.offsets, p.length, begin, length);
  if (global >= load(p.global_count + sequence)) return;
  const int token = load(p.global_token + static_cast<long long>(sequence) * p.globals + global);
  const int chunks = (length + p.chunk_length - 1) / p.chunk_length;
  for (int which = 0; which < 2; ++which)
    for (int d = thread_index(); d < p.dim; d += C::threads) {
      float sum = 0.0f;
      for (int chunk = 0; chunk < chunks; ++chunk)
        sum += load(partial_row<C>(p, chunk, which, sequence, global, head) + d);
      const long long element = (static_cast<long long>(token) * p.heads + head) * p.dim + d;
      void* to = which == 0 ? p.grad_k : p.grad_v;
      if (C::type == kFloat32)
        store(static_cast<float*>(to) + element, sum);
      else
        store(static_cast<u16*>(to) + element, static_cast<u16>(pack<C::type>(sum, 0.0f)));
    }
}

}  // namespace longformer::cuda
