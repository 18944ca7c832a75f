// softmax(queries . hidden) . hidden for each sequence: the global tokens' attention with the projections
// folded away, where every token is read once for all heads.
//
// A block's 8 warps share the columns: each has its slice of the queries in registers and copies, multiplies
// and sums only its own slice of the tokens, so that no other warp waits for its copies. Of a tile of tokens
// the partial scores go through shared memory once, are added and turned into weights by one thread each, and
// come back as the left side of the second product.
//
// 16-bit tokens go through the tensor cores as they are. The other sides, queries and weights, are float32:
// they go through as two 16-bit numbers each, the rounded one and what was rounded away, which leaves about
// 16 bits (bfloat16) or 22 (float16) of their 24. Queries are brought to float16's range by powers of two.
// Float32 tokens are multiplied and added in float32.
#pragma once
#include "tile.cuh"

namespace longformer::cuda {

// dim: columns padded to a multiple of 128, of 256 for float32.
template <int type_, int dim_, bool aligned_>
struct PoolConfig {
  static constexpr int type = type_, dim = dim_, threads = kPoolThreads, warps = threads / 32,
                       rows = kPoolRows;
  static constexpr bool aligned = aligned_;
  static constexpr int size = type == kFloat32 ? 4 : 2, per_chunk = 16 / size, chunks = dim / per_chunk;
  static constexpr int tile = 32 / size;             // tokens
  static constexpr int stages = dim <= 896 ? 3 : 2;  // what fits 99 KB, the least that a GPU of today has
  static constexpr int slice = dim / warps, slice_chunks = slice / per_chunk;
  static constexpr int stage_bytes = tile * dim * size;
  // Shared memory behind the stages, in bytes.
  static constexpr int partials = stages * stage_bytes, weights = partials + 4 * warps * rows * tile,
                       factors = weights + (type == kFloat32 ? 4 * rows * tile : 2 * 2 * rows * tile),
                       largest = factors + 4 * rows, seen = largest + 4 * warps * rows,
                       shared_bytes = seen + kPoolMostTokens / 8;
  static_assert(dim % (type == kFloat32 ? 32 * warps : 16 * warps) == 0, "slices of whole fragments");

  // A partial score of a warp. Neither the order in which the warps write them nor that in which they are
  // read has two lanes in one bank (float32: four when read).
  LONGFORMER_DEVICE static u32 partial_place(int warp, int row, int token) {
    const int at = type == kFloat32 ? token * rows + row
                                    : row * tile + (token ^ (((row >> 1) & 1) | (((row >> 2) & 1) << 3)));
    return shared_base() + partials + 4 * (warp * rows * tile + at);
  }
  // 16 bytes of a row of 16-bit weights.
  LONGFORMER_DEVICE static u32 weight_place(int row, int chunk) {
    return shared_base() + weights + row * 32 + (chunk ^ ((row >> 2) & 1)) * 16;
  }
  static constexpr int low_weights = 2 * rows * tile;  // behind the high ones
};

struct PoolChunk {
  int sequence, begin, count;  // tokens begin .. begin + count of all

  LONGFORMER_DEVICE PoolChunk(const PoolParameters& p, int chunk) {
    if (p.first_chunk == nullptr) {
      sequence = chunk / p.chunks;
      const int first = chunk % p.chunks * p.chunk_length;
      begin = sequence * p.length + first;
      count = smaller_of(p.chunk_length, p.length - first);
      return;
    }
    int low = 0, high = p.sequences;  // the last sequence whose first chunk is not behind this one
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      if (load(p.first_chunk + middle) <= chunk)
        low = middle;
      else
        high = middle;
    }
    sequence = low;
    begin = load(p.offsets + low) + (chunk - load(p.first_chunk + low)) * p.chunk_length;
    count = smaller_of(p.chunk_length, load(p.offsets + low + 1) - begin);
  }
};

// The power of two at or below x, far enough from the ends of the exponent to have an inverse.
LONGFORMER_DEVICE float power_below(float x) {
  const int exponent = static_cast<int>(bits_of(x) >> 23);
  return float_of(static_cast<u32>(smaller_of(larger_of(exponent, 1), 253)) << 23);
}
LONGFORMER_DEVICE float inverse_of_power(float power) {
  return float_of((254u << 23) - bits_of(power));
}

template <int type>
LONGFORMER_DEVICE float rounded(float x) {
  return unpack<type>(static_cast<u16>(pack<type>(x, 0.0f)));
}

// The two products of a tile for one warp's slice of the columns, 16-bit.
template <class C>
struct PoolSlice {
  static constexpr int steps = C::slice / 16, pieces = C::slice / 8;
  u32 high[steps][4], low[steps][4];  // queries
  float sums[pieces][4];

  // load_query(row, column)
  template <class LoadQuery>
  LONGFORMER_DEVICE void init(const LoadQuery& load_query) {
    const int lane = lane_index(), warp = warp_index();
    float x[steps][8], most[2] = {0.0f, 0.0f};  // element 2 * register + e of a fragment
#pragma unroll
    for (int step = 0; step < steps; ++step)
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const int half = (i >> 1) & 1,
                  column = warp * C::slice + 16 * step + 2 * (lane & 3) + (i & 1) + 8 * (i >> 2);
        x[step][i] = load_query((lane >> 2) + 8 * half, column);
        most[half] = larger(most[half], float_of(bits_of(x[step][i]) & 0x7FFFFFFFu));
      }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      most[half] = larger(most[half], shuffle_xor(most[half], 1));
      most[half] = larger(most[half], shuffle_xor(most[half], 2));
      if ((lane & 3) == 0)
        shared_store(shared_base() + C::largest + 4 * (warp * C::rows + (lane >> 2) + 8 * half),
                     bits_of(most[half]));
    }
    block_barrier();
    const float inverse[2] = {inverse_of_power(scale_of(lane >> 2)),
                              inverse_of_power(scale_of((lane >> 2) + 8))};
#pragma unroll
    for (int step = 0; step < steps; ++step)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float a = x[step][2 * i] * inverse[i & 1], b = x[step][2 * i + 1] * inverse[i & 1];
        high[step][i] = pack<C::type>(a, b);
        low[step][i] = pack<C::type>(a - unpack<C::type>(static_cast<u16>(high[step][i])),
                                     b - unpack<C::type>(static_cast<u16>(high[step][i] >> 16)));
      }
#pragma unroll
    for (int piece = 0; piece < pieces; ++piece)
#pragma unroll
      for (int e = 0; e < 4; ++e) sums[piece][e] = 0.0f;
  }

  // The factor of a row's scores; valid after init's barrier.
  LONGFORMER_DEVICE static float scale_of(int row) {
    float most = 0.0f;
#pragma unroll
    for (int warp = 0; warp < C::warps; ++warp)
      most = larger(most, shared_load(shared_base() + C::largest + 4 * (warp * C::rows + row)));
    return power_below(most);
  }

  LONGFORMER_DEVICE void score(u32 stage) const {
    const int lane = lane_index(), warp = warp_index();
    float s[2][2][4] = {};  // by the high and the low parts: four chains of products, not two
    const int row = (lane & 7) + 8 * (lane >> 4), chunk = warp * C::slice_chunks + ((lane >> 3) & 1);
#pragma unroll
    for (int step = 0; step < steps; ++step) {
      u32 b[4];
      load_matrices(b, stage + place_of<C>(row, chunk + 2 * step));
#pragma unroll
      for (int n = 0; n < 2; ++n) {
        multiply<C::type>(s[0][n], high[step], b[2 * n], b[2 * n + 1]);
        multiply<C::type>(s[1][n], low[step], b[2 * n], b[2 * n + 1]);
      }
    }
#pragma unroll
    for (int n = 0; n < 2; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e)
        shared_store(C::partial_place(warp, (lane >> 2) + 8 * (e >> 1), 8 * n + 2 * (lane & 3) + (e & 1)),
                     bits_of(s[0][n][e] + s[1][n][e]));
  }

  // The weight of a (row, token); neighbours in a warp are neighbours in a row.
  LONGFORMER_DEVICE static void store_weight(int row, int token, float weight) {
    const float high = rounded<C::type>(weight), low = weight - high;
    const bool even = (token & 1) == 0;
    const float other = shuffle_xor(even ? low : high, 1);
    const u32 place = C::weight_place(row, token >> 3) + 2 * (token & 6);
    if (even)
      shared_store(place, pack<C::type>(high, other));
    else
      shared_store(place + C::low_weights, pack<C::type>(other, low));
  }

  LONGFORMER_DEVICE void pool(u32 stage) {
    const int lane = lane_index();
    const u32 factors = shared_base() + C::factors;
    const float above = shared_load(factors + 4 * (lane >> 2)),
                below = shared_load(factors + 4 * ((lane >> 2) + 8));
    if (ballot(above != 1.0f || below != 1.0f) != 0) {
#pragma unroll
      for (int piece = 0; piece < pieces; ++piece)
#pragma unroll
        for (int e = 0; e < 4; ++e) sums[piece][e] *= e < 2 ? above : below;
    }
    u32 a_high[4], a_low[4];
    const u32 weights = C::weight_place(lane & 15, lane >> 4);
    load_matrices(a_high, weights);
    load_matrices(a_low, weights + C::low_weights);
    const int chunk = warp_index() * C::slice_chunks + (lane >> 4);
#pragma unroll
    for (int piece = 0; piece < pieces; piece += 2) {
      u32 b[4];
      load_matrices_transposed(b, stage + place_of<C>(lane & 15, chunk + piece));
#pragma unroll
      for (int n = 0; n < 2; ++n) {
        multiply<C::type>(sums[piece + n], a_high, b[2 * n], b[2 * n + 1]);
        multiply<C::type>(sums[piece + n], a_low, b[2 * n], b[2 * n + 1]);
      }
    }
  }

  // store_sum(row, column, sum)
  template <class StoreSum>
  LONGFORMER_DEVICE void finish(const StoreSum& store_sum) const {
    const int lane = lane_index();
#pragma unroll
    for (int piece = 0; piece < pieces; ++piece)
#pragma unroll
      for (int e = 0; e < 4; ++e)
        store_sum((lane >> 2) + 8 * (e >> 1), warp_index() * C::slice + 8 * piece + 2 * (lane & 3) + (e & 1),
                  sums[piece][e]);
  }
};

// Sums over the lanes of as many numbers as there are lanes: lane i gets sum i, in x[0]. Each step adds the
// lanes that differ in one bit, which continue with one half of the numbers each.
template <int step>
LONGFORMER_DEVICE void add_lanes(float (&x)[32]) {
  const bool upper = (lane_index() & step) != 0;
#pragma unroll
  for (int i = 0; i < step; ++i)
    x[i] = (upper ? x[i + step] : x[i]) + shuffle_xor(upper ? x[i] : x[i + step], step);
  if constexpr (step > 1) add_lanes<step / 2>(x);
}

// The same in float32: a lane has every 32nd column of the slice, for all rows.
template <class C>
struct PoolSliceFloat32 {
  static constexpr int columns = C::slice / 32;
  float queries[C::rows][columns], sums[C::rows][columns];

  LONGFORMER_DEVICE static int column(int i) { return warp_index() * C::slice + 32 * i + lane_index(); }
  LONGFORMER_DEVICE static void load_token(float (&x)[columns], u32 stage, int token) {
#pragma unroll
    for (int i = 0; i < columns; ++i)
      x[i] = shared_load(stage + place_of<C>(token, column(i) >> 2) + 4 * (column(i) & 3));
  }

  template <class LoadQuery>
  LONGFORMER_DEVICE void init(const LoadQuery& load_query) {
#pragma unroll
    for (int row = 0; row < C::rows; ++row)
#pragma unroll
      for (int i = 0; i < columns; ++i) {
        queries[row][i] = load_query(row, column(i));
        sums[row][i] = 0.0f;
      }
    block_barrier();
  }

  LONGFORMER_DEVICE static float scale_of(int) {
    return 1.0f;
  }

  LONGFORMER_DEVICE void score(u32 stage) const {
    static_assert(2 * C::rows == 32, "two tokens give a score for each lane");
    const int lane = lane_index();
#pragma unroll 1
    for (int token = 0; token < C::tile; token += 2) {
      float s[32];  // the rows of a token, then of the next
#pragma unroll
      for (int n = 0; n < 2; ++n) {
        float x[columns];
        load_token(x, stage, token + n);
#pragma unroll
        for (int row = 0; row < C::rows; ++row) {
          float sum = 0.0f;
#pragma unroll
          for (int i = 0; i < columns; ++i) sum = multiply_add(queries[row][i], x[i], sum);
          s[n * C::rows + row] = sum;
        }
      }
      add_lanes<16>(s);
      shared_store(C::partial_place(warp_index(), lane % C::rows, token + lane / C::rows), bits_of(s[0]));
    }
  }

  LONGFORMER_DEVICE static void store_weight(int row, int token, float weight) {
    shared_store(shared_base() + C::weights + 4 * (token * C::rows + row), bits_of(weight));
  }

  LONGFORMER_DEVICE void pool(u32 stage) {
    const auto rows_of = [](float(&x)[C::rows], u32 from) {
#pragma unroll
      for (int row = 0; row < C::rows; row += 4) {
        const Vector four = shared_load_vector(from + 4 * row);
#pragma unroll
        for (int i = 0; i < 4; ++i) x[row + i] = float_of(four.word[i]);
      }
    };
    float weight[C::rows];
    rows_of(weight, shared_base() + C::factors);
    bool rescale = false;
#pragma unroll
    for (int row = 0; row < C::rows; ++row) rescale = rescale || weight[row] != 1.0f;
    if (rescale) {
#pragma unroll
      for (int row = 0; row < C::rows; ++row)
#pragma unroll
        for (int i = 0; i < columns; ++i) sums[row][i] *= weight[row];
    }
#pragma unroll 1
    for (int token = 0; token < C::tile; ++token) {
      float x[columns];
      load_token(x, stage, token);
      rows_of(weight, shared_base() + C::weights + 4 * token * C::rows);
#pragma unroll
      for (int row = 0; row < C::rows; ++row)
#pragma unroll
        for (int i = 0; i < columns; ++i) sums[row][i] = multiply_add(weight[row], x[i], sums[row][i]);
    }
  }

  template <class StoreSum>
  LONGFORMER_DEVICE void finish(const StoreSum& store_sum) const {
#pragma unroll
    for (int row = 0; row < C::rows; ++row)
#pragma unroll
      for (int i = 0; i < columns; ++i) store_sum(row, column(i), sums[row][i]);
  }
};

template <class C>
struct PoolSliceOf {
  using Type = PoolSlice<C>;
};
template <int dim, bool aligned>
struct PoolSliceOf<PoolConfig<kFloat32, dim, aligned>> {
  using Type = PoolSliceFloat32<PoolConfig<kFloat32, dim, aligned>>;
};

// Grid: x = (chunk, tile of rows).
template <class C>
LONGFORMER_DEVICE void pool_tokens(const PoolParameters& p) {
  const int thread = thread_index(), lane = lane_index(), warp = warp_index();
  const int chunk = block_x() / p.row_tiles, first_row = block_x() % p.row_tiles * C::rows;
  const PoolChunk at(p, chunk);
  const u32 base = shared_base();

  // A bit for each token: in the chunk and visible.
  for (int first = 32 * warp; first < at.count; first += C::threads) {
    const int token = first + lane;
    const bool seen = token < at.count && (p.mask == nullptr || load(p.mask + at.begin + token) != 0);
    const u32 word = ballot(seen);
    if (lane == 0) shared_store(base + C::seen + first / 8, word);
  }
  typename PoolSliceOf<C>::Type slice;
  slice.init([&](int row, int column) {
    if (first_row + row >= p.rows || column >= p.columns) return 0.0f;
    return load(p.queries + (static_cast<long long>(at.sequence) * p.rows + first_row + row) * p.columns +
                column);
  });
  const auto seen_of = [&](int tile) {
    const int token = tile * C::tile;
    return (bits_of(shared_load(base + C::seen + token / 32 * 4)) >> (token % 32)) & ((1u << C::tile) - 1u);
  };
  int tiles = (at.count + C::tile - 1) / C::tile;
  while (tiles > 0 && seen_of(tiles - 1) == 0) --tiles;  // padding

  const auto copy_tile = [&](int tile) {
    if (tile < tiles) {
      const u32 stage = base + tile % C::stages * C::stage_bytes, seen = seen_of(tile);
#pragma unroll(C::aligned ? 8 : 1)
      for (int i = lane; i < C::tile * C::slice_chunks; i += 32) {
        const int row = i / C::slice_chunks, column = warp * C::slice_chunks + i % C::slice_chunks;
        const int token = (seen >> row & 1) != 0 ? at.begin + tile * C::tile + row : -1;
        copy_chunk<C>(stage + place_of<C>(row, column), p.hidden, token, 0, column, p.columns);
      }
    }
    copy_commit();
  };
  for (int tile = 0; tile < C::stages - 1; ++tile) copy_tile(tile);

  // Of a tile's scores, every thread has the same row and token (float32: half of the threads).
  constexpr int softmax_warps = C::rows * C::tile / 32;
  const int row = thread / C::tile % C::rows, token = thread % C::tile;
  const float scale = slice.scale_of(row) * 1.4426950408889634f;
  float maximum = -infinity(), total = 0.0f;  // total: of the thread's own tokens
  for (int tile = 0; tile < tiles; ++tile) {
    const u32 stage = base + tile % C::stages * C::stage_bytes;
    copy_wait<C::stages - 2>();
    warp_barrier();
    copy_tile(tile + C::stages - 1);  // to where the tile before this one was
    slice.score(stage);
    block_barrier();
    if (warp < softmax_warps) {
      float score = 0.0f;
#pragma unroll
      for (int w = 0; w < C::warps; ++w) score += shared_load(C::partial_place(w, row, token));
      const bool seen = (seen_of(tile) >> token & 1) != 0;
      score = seen ? score * scale : -infinity();
      float high = score;
#pragma unroll
      for (int step = C::tile / 2; step > 0; step >>= 1) high = larger(high, shuffle_xor(high, step));
      high = larger(maximum, high);
      const float factor = maximum == high ? 1.0f : exp2_of(maximum - high),
                  weight = seen ? exp2_of(score - high) : 0.0f;
      total = multiply_add(total, factor, weight);
      maximum = high;
      slice.store_weight(row, token, weight);
      if (token == 0) shared_store(base + C::factors + 4 * row, bits_of(factor));
    }
    block_barrier();
    slice.pool(stage);
  }

  const auto place = [&](int of_row) { return static_cast<long long>(chunk) * p.rows + first_row + of_row; };
  slice.finish([&](int of_row, int column, float sum) {
    if (first_row + of_row < p.rows) store(p.sums + place(of_row) * C::dim + column, sum);
  });
  if (warp < softmax_warps) {
#pragma unroll
    for (int step = C::tile / 2; step > 0; step >>= 1) total += shuffle_xor(total, step);
    if (token == 0 && first_row + row < p.rows) {
      store(p.states + 2 * place(row), maximum);
      store(p.states + 2 * place(row) + 1, total);
    }
  }
}

// The chunks of a (sequence, row) put together in their order. Grid: x = (sequence, row), y = columns.
LONGFORMER_DEVICE void merge_pools(const PoolParameters& p) {
  const int sequence = block_x() / p.rows, row = block_x() % p.rows,
            column = block_y() * kMergeColumns + thread_index();
  if (column >= p.columns) return;
  const bool equal = p.first_chunk == nullptr;
  const int first = equal ? sequence * p.chunks : load(p.first_chunk + sequence),
            last = equal ? first + p.chunks : load(p.first_chunk + sequence + 1);
  const auto place = [&](int chunk) { return static_cast<long long>(chunk) * p.rows + row; };
  float high = -infinity(), total = 0.0f, x = 0.0f;
  for (int chunk = first; chunk < last; ++chunk) high = larger(high, load(p.states + 2 * place(chunk)));
#pragma unroll 4
  for (int chunk = first; chunk < last; ++chunk) {
    const float maximum = load(p.states + 2 * place(chunk)),
                factor = maximum == high ? 1.0f : exp2_of(maximum - high);
    total = multiply_add(factor, load(p.states + 2 * place(chunk) + 1), total);
    x = multiply_add(factor, load(p.sums + place(chunk) * p.padded + column), x);
  }
  store(p.out + static_cast<long long>(block_x()) * p.columns + column, total == 0.0f ? 0.0f : x / total);
}

}  // namespace longformer::cuda
