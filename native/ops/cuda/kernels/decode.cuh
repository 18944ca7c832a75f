// One step of decoding: a few queries of each of several documents over all of its keys. A block takes one
// head and one chunk of a document's keys for all of its queries, so that keys and values are read once;
// decode_merge puts the chunks together in their order. A key is read by as many lanes as it has 16-byte
// chunks, rounded up to a power of two.
#pragma once
#include "tile.cuh"

namespace longformer::cuda {

template <int type_, bool aligned_>
struct DecodeConfig {
  static constexpr int type = type_;
  static constexpr bool aligned = aligned_;
  static constexpr int size = type == kFloat32 ? 4 : 2, per_chunk = 16 / size, threads = 128, warps = 4;
  static_assert(warps == kDecodeRows, "a warp for each query");
};

// The score of a hidden key: below every other, and where all are hidden their values' mean comes
// out.
constexpr float kHiddenScore = -1e30f;

LONGFORMER_DEVICE float* decode_partial(const DecodeParameters& p, int chunk, int row, int head) {
  return p.partial + ((static_cast<long long>(chunk) * kDecodeRows + row) * p.heads + head) * (p.dim + 2);
}

template <class C>
LONGFORMER_DEVICE void decode_attend(const DecodeParameters& p) {
  // Shared memory, in floats: queries [rows][dim], probabilities [rows][keys], sums of the warps
  // [warps][rows][dim].
  const u32 queries = shared_base(), probabilities = queries + 4 * kDecodeRows * p.dim,
            sums = probabilities + 4 * kDecodeRows * kDecodeKeys;
  const int thread = thread_index(), lane = lane_index(), head = block_y();
  int which = 0;
  while (which + 1 < p.count && block_x() >= p.entries[which + 1].first_chunk) ++which;
  const DecodeEntry& e = p.entries[which];
  const int first = (block_x() - e.first_chunk) * kDecodeKeys,
            count = smaller_of(kDecodeKeys, e.keys - first);
  int lanes = 1;  // of a key
  while (lanes * C::per_chunk < p.dim) lanes *= 2;
  const int chunk = thread & (lanes - 1), group = thread / lanes, groups = C::threads / lanes;
  const auto row_of = [&](const void* rows, long long token_stride, long long head_stride, int key) {
    return static_cast<const char*>(rows) + ((first + key) * token_stride + head * head_stride) * C::size;
  };

  for (int i = thread; i < e.rows * p.dim; i += C::threads) {
    const long long element =
        (static_cast<long long>(e.first + i / p.dim) * p.heads + head) * p.dim + i % p.dim;
    float x;
    if (C::type == kFloat32)
      x = load(static_cast<const float*>(p.query) + element);
    else
      x = unpack<C::type>(load(static_cast<const u16*>(p.query) + element));
    shared_store(queries + 4 * i, bits_of(x * p.scale_log2));
  }
  block_barrier();

  for (int start = 0; start < kDecodeKeys; start += groups) {
    const int key = start + group;
    Vector k = {{0, 0, 0, 0}};
    if (key < count) k = load_chunk<C>(row_of(e.key, e.key_token, e.key_head, key), chunk, p.dim);
    for (int row = 0; row < e.rows; ++row) {
      float score = 0.0f;
#pragma unroll
      for (int i = 0; i < C::per_chunk; ++i) {
        const int d = chunk * C::per_chunk + i;
        if (d < p.dim)
          score =
              multiply_add(element_of<C::type>(k, i), shared_load(queries + 4 * (row * p.dim + d)), score);
      }
      for (int step = lanes / 2; step > 0; step /= 2) score += shuffle_xor(score, step);
      if (chunk != 0) continue;
      if (key >= count)
        score = -infinity();
      else if (e.mask != nullptr &&
               load(e.mask + static_cast<long long>(row) * e.mask_stride + first + key) == 0)
        score = kHiddenScore;
      shared_store(probabilities + 4 * (row * kDecodeKeys + key), bits_of(score));
    }
  }
  block_barrier();

  if (const int row = warp_index(); row < e.rows) {
    float score[kDecodeKeys / 32], high = -infinity(), total = 0.0f;
#pragma unroll
    for (int i = 0; i < kDecodeKeys / 32; ++i) {
      score[i] = shared_load(probabilities + 4 * (row * kDecodeKeys + 32 * i + lane));
      high = larger(high, score[i]);
    }
#pragma unroll
    for (int step = 16; step > 0; step /= 2) high = larger(high, shuffle_xor(high, step));
    warp_barrier();
#pragma unroll
    for (int i = 0; i < kDecodeKeys / 32; ++i) {
      const float probability = exp2_of(score[i] - high);
      total += probability;
      shared_store(probabilities + 4 * (row * kDecodeKeys + 32 * i + lane), bits_of(probability));
    }
#pragma unroll
    for (int step = 16; step > 0; step /= 2) total += shuffle_xor(total, step);
    if (lane == 0) {
      float* partial = decode_partial(p, block_x(), row, head);
      store(partial, high);
      store(partial + 1, total);
    }
  }
  block_barrier();

  float sum[kDecodeRows][C::per_chunk];
#pragma unroll
  for (int row = 0; row < kDecodeRows; ++row)
#pragma unroll
    for (int i = 0; i < C::per_chunk; ++i) sum[row][i] = 0.0f;
  for (int key = group; key < count; key += groups) {
    const Vector v = load_chunk<C>(row_of(e.value, e.value_token, e.value_head, key), chunk, p.dim);
#pragma unroll
    for (int row = 0; row < kDecodeRows; ++row) {
      if (row >= e.rows) continue;
      const float probability = shared_load(probabilities + 4 * (row * kDecodeKeys + key));
#pragma unroll
      for (int i = 0; i < C::per_chunk; ++i)
        sum[row][i] = multiply_add(probability, element_of<C::type>(v, i), sum[row][i]);
    }
  }
#pragma unroll
  for (int row = 0; row < kDecodeRows; ++row)
#pragma unroll
    for (int i = 0; i < C::per_chunk; ++i) {
      float x = sum[row][i];
      for (int step = lanes; step < 32; step *= 2) x += shuffle_xor(x, step);
      const int d = chunk * C::per_chunk + i;
      if (lane < lanes && d < p.dim)
        shared_store(sums + 4 * ((warp_index() * kDecodeRows + row) * p.dim + d), bits_of(x));
    }
  block_barrier();
  for (int i = thread; i < e.rows * p.dim; i += C::threads) {
    float x = 0.0f;
#pragma unroll
    for (int warp = 0; warp < C::warps; ++warp) x += shared_load(sums + 4 * (warp * kDecodeRows * p.dim + i));
    store(decode_partial(p, block_x(), i / p.dim, head) + 2 + i % p.dim, x);
  }
}

// Grid: x = (entry, query), y = head.
template <class C>
LONGFORMER_DEVICE void decode_merge(const DecodeParameters& p) {
  const DecodeEntry& e = p.entries[block_x() / kDecodeRows];
  const int row = block_x() % kDecodeRows, head = block_y();
  if (row >= e.rows) return;
  const int chunks = (e.keys + kDecodeKeys - 1) / kDecodeKeys;
  float high = -infinity(), total = 0.0f;
  for (int chunk = 0; chunk < chunks; ++chunk)
    high = larger(high, load(decode_partial(p, e.first_chunk + chunk, row, head)));
  for (int chunk = 0; chunk < chunks; ++chunk) {
    const float* partial = decode_partial(p, e.first_chunk + chunk, row, head);
    total = multiply_add(exp2_of(load(partial) - high), load(partial + 1), total);
  }
  for (int d = thread_index(); d < p.dim; d += C::threads) {
    float x = 0.0f;
    for (int chunk = 0; chunk < chunks; ++chunk) {
      const float* partial = decode_partial(p, e.first_chunk + chunk, row, head);
      x = multiply_add(exp2_of(load(partial) - high), load(partial + 2 + d), x);
    }
    x /= total;
    const long long element = (static_cast<long long>(e.first + row) * p.heads + head) * p.dim + d;
    if (C::type == kFloat32)
      store(static_cast<float*>(p.out) + element, x);
    else
      store(static_cast<u16*>(p.out) + element, static_cast<u16>(pack<C::type>(x, 0.0f)));
  }
}

}  // namespace longformer::cuda
