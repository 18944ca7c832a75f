// The attention of a few queries (the beams of a document) over many keys; compiled once for every
// instruction set like band_*.h. Keys and values are read token by token, once for all queries and heads, in
// their own type. The score of a query and head is a lane: 16 keys' scores are a matrix [key][column], whose
// softmax is a vertical operation, rescaled from one 16 keys to the next.
#pragma once
#include <cstddef>
#include <cstdint>

#include "band_tile.h"
#include "few_rows.h"
#include "few_rows_problem.h"
#include "lane_sums.h"
#include "running_softmax.h"

namespace {

using longformer::cpu::ChunkPart;
using longformer::cpu::DecodeProblem;
using longformer::cpu::kDecodeTokens;

// The scores' lanes of KEYS keys of one head, `key_stride` bytes apart, with ROWS queries. They are as many
// independent chains of additions, and share the reading of the queries. As many rows are asked for from
// `ahead` on. WIDTH: vectors of a row where they are known, for a loop without a branch; else 0, and n
// elements.
template <class V, Element E, int ROWS, int KEYS, int WIDTH>
inline void score(const typename V::S* q, ptrdiff_t ldq, const char* key, ptrdiff_t key_stride, ptrdiff_t n,
                  const char* ahead, ptrdiff_t ahead_stride, typename V::S* dots, ptrdiff_t ldd) {
  using T = typename V::T;
  constexpr ptrdiff_t size = bytes_of<V>(E), in_line = kLine / size > V::lanes ? kLine / size : V::lanes;
  T sum[KEYS][ROWS];
#pragma GCC unroll 4
  for (int k = 0; k < KEYS; ++k)
#pragma GCC unroll 4
    for (int r = 0; r < ROWS; ++r) sum[k][r] = V::zero();
  const auto add = [&](ptrdiff_t i) __attribute__((always_inline)) {
    T x[KEYS];
#pragma GCC unroll 4
    for (int k = 0; k < KEYS; ++k) x[k] = load_element<V>(key + k * key_stride, i, E);
#pragma GCC unroll 4
    for (int r = 0; r < ROWS; ++r) {
      const T y = V::load(q + r * ldq + i);
#pragma GCC unroll 4
      for (int k = 0; k < KEYS; ++k) sum[k][r] = V::fma(x[k], y, sum[k][r]);
    }
  };
  if constexpr (WIDTH > 0) n = WIDTH * V::lanes;
  ptrdiff_t i = 0;
#pragma GCC unroll 4
  for (; i + in_line <= n; i += in_line) {
#pragma GCC unroll 4
    for (int k = 0; k < KEYS; ++k) __builtin_prefetch(ahead + k * ahead_stride + i * size);
#pragma GCC unroll 8
    for (ptrdiff_t j = 0; j < in_line; j += V::lanes) add(i + j);
  }
  for (; i < n; i += V::lanes) add(i);
#pragma GCC unroll 4
  for (int k = 0; k < KEYS; ++k)
#pragma GCC unroll 4
    for (int r = 0; r < ROWS; ++r) V::store(dots + k * ldd + r * V::lanes, sum[k][r]);
}

// Keys and values of type E; those that do not end with a vector are of the compute type, in copies.
//
// The order of reading is what the time of a step depends on: 16 tokens are a tile, whose keys are read a few
// tokens at a time, over all heads, and then its values. So memory is a few streams of whole tokens, and what
// is asked for ahead in the same order arrives before it is needed.
template <class V, Element E>
struct DecodeChunk {
  using S = typename V::S;
  using T = typename V::T;
  static constexpr int64_t L = V::lanes;
  static constexpr ptrdiff_t size = bytes_of<V>(E);
  // Keys that are scored together, and values that are added together: smaller types need more of them, since
  // there is more to compute with each byte.
  static constexpr int kKeys = size < 4 && V::max_vectors == 4 ? 4 : 2;
  static constexpr int64_t kValues = size < 4 ? 8 : 4;

  // Tokens [first, first + count).
  struct Tile {
    int64_t first, count;
  };
  struct Asked {
    const char* row;
    ptrdiff_t token_stride, head_stride;  // in bytes
  };

  const DecodeProblem& p;
  const bool direct;           // rows are read in place
  const ptrdiff_t width;       // dim rounded up to vectors
  const ptrdiff_t given_size;  // bytes of an element in memory
  const int64_t ahead;         // so many tokens
  S *dots, *scores, *factor, *rows;
  S *largest, *sum, *context;

  DecodeChunk(const DecodeProblem& problem, const ChunkPart& part, bool in_place, void* scratch)
      : p(problem),
        direct(in_place),
        width((problem.dim + L - 1) / L * L),
        given_size(element_size(problem.element)),
        ahead(smaller(larger(kAheadBytes / (problem.heads * problem.dim * given_size) / kValues, 1) * kValues,
                      kDecodeTokens)),
        dots(static_cast<S*>(scratch)),
        scores(dots + kKeys * L * p.columns),
        factor(scores + kDecodeTokens * p.columns),
        rows(factor + p.columns),
        largest(static_cast<S*>(part.largest)),
        sum(static_cast<S*>(part.sum)),
        context(static_cast<S*>(part.context)) {}

  void run(int64_t first, int64_t last) {
    clear_part<V>(p.columns, p.rows * p.heads * p.padded_dim, largest, sum, context);
    for (int64_t k = 0; k < kKeys; ++k)
      for (int64_t c = p.rows * p.heads; c < p.columns; ++c)
        V::store(dots + (k * p.columns + c) * L, V::zero());
    for (int64_t token = first; token < last; token += kDecodeTokens) {
      const Tile tile = {token, smaller(kDecodeTokens, last - token)};
      int64_t j = 0;
      for (; j + kKeys <= tile.count; j += kKeys) score_keys<kKeys>(tile, j);
      for (; j < tile.count; ++j) score_keys<1>(tile, j);
      normalise<V>(p.columns, tile.count, scores, largest, sum, factor);
      for (j = 0; j < tile.count; j += kValues) add_values(tile, j, smaller(kValues, tile.count - j));
    }
  }

  // What is asked for while `count` of the tile's rows from `step` on are computed: of its keys, then its
  // values, then the keys of the next tile, which may be that of the thread's next chunk.
  Asked asked(const Tile& tile, int64_t step, int64_t count) const {
    const int64_t row = step + ahead, next = row < tile.count ? row : row - tile.count;
    const Rows& of = row < tile.count || row >= 2 * tile.count ? p.key : p.value;
    const int64_t token = smaller(tile.first + next, p.keys - 1);
    const char* const first = row_address(of, p.element, token, 0);
    // Neighbours in memory are asked for in its own order, whichever head and token is computed meanwhile.
    if (of.head_stride == p.dim && of.token_stride == p.heads * p.dim && token + count <= p.keys)
      return {first, p.dim * given_size, count * p.dim * given_size};
    return {first, of.token_stride * given_size, of.head_stride * given_size};
  }

  // Rows of `count` tokens and one head: where they are, or in copies.
  const char* rows_at(const Rows& from, int64_t token, int64_t count, int64_t head) {
    const char* address = row_address(from, p.element, token, head);
    if (direct) return address;
    for (int64_t j = 0; j < count; ++j)
      read_row<V>(rows + j * p.padded_dim, address + j * from.token_stride * given_size, p.element, p.dim);
    return reinterpret_cast<const char*>(rows);
  }
  ptrdiff_t stride_of(const Rows& from) const { return direct ? from.token_stride : p.padded_dim; }

  // Scores of the tile's keys [j, j + KEYS).
  template <int KEYS>
  void score_keys(const Tile& tile, int64_t j) {
    const S* const q = static_cast<const S*>(p.query);
    const ptrdiff_t ldq = p.heads * p.padded_dim, key_stride = stride_of(p.key) * size, ldd = p.columns * L;
    const Asked next = asked(tile, j, KEYS);
    for (int64_t h = 0; h < p.heads; ++h) {
      const char* const key = rows_at(p.key, tile.first + j, KEYS, h);
      const char* const at = next.row + h * next.head_stride;
      const auto queries = [&](auto count, int64_t r) {
        constexpr int kRows = decltype(count)::value;
        const S* const of_head = q + h * p.padded_dim + r * ldq;
        S* const to = dots + (h * p.rows + r) * L;
        if (width == 4 * L)
          score<V, E, kRows, KEYS, 4>(of_head, ldq, key, key_stride, width, at, next.token_stride, to, ldd);
        else
          score<V, E, kRows, KEYS, 0>(of_head, ldq, key, key_stride, width, at, next.token_stride, to, ldd);
      };
      for_each_row_block(queries);
    }
    for (int64_t k = 0; k < KEYS; ++k) {
      S* const row = scores + (j + k) * p.columns;
      for (int64_t c = 0; c < p.columns; c += L) V::store(row + c, lane_sums<V>(dots + k * ldd + c * L));
      if (p.mask == nullptr) continue;
      for (int64_t r = 0; r < p.rows; ++r) {
        if (p.mask[r * p.mask_stride + tile.first + j + k] != 0) continue;
        for (int64_t h = 0; h < p.heads; ++h) row[h * p.rows + r] = lowest_of(S());
      }
    }
  }

  // Adds the tile's values [j, j + count).
  void add_values(const Tile& tile, int64_t j, int64_t count) {
    const Asked next = asked(tile, tile.count + j, count);
    for (int64_t h = 0; h < p.heads; ++h) {
      const char* const value = rows_at(p.value, tile.first + j, count, h);
      const char* const at = next.row + h * next.head_stride;
      for (ptrdiff_t d = 0; d < width;) {
        const auto columns = [&](auto vectors) {
          constexpr int kVectors = decltype(vectors)::value;
          const auto rows_of_block = [&](auto n, int64_t r) {
            const int64_t column = h * p.rows + r;
            gather_values<V, decltype(n)::value, kVectors, E>(
                context + (r * p.heads + h) * p.padded_dim + d, p.heads * p.padded_dim,
                j == 0 ? factor + column : nullptr, scores + j * p.columns + column, p.columns,
                value + d * size, stride_of(p.value), at + d * given_size, next.token_stride, L * given_size,
                count);
          };
          for_each_row_block(rows_of_block);
          d += kVectors * L;
        };
        if (width - d >= V::max_vectors * L)
          columns(Count<V::max_vectors>());
        else
          columns(Count<1>());
      }
    }
  }

  template <class Work>
  void for_each_row_block(const Work& work) {
    int64_t r = 0;
    for (; r + 4 <= p.rows; r += 4) work(Count<4>(), r);
    for (; r + 2 <= p.rows; r += 2) work(Count<2>(), r);
    if (r < p.rows) work(Count<1>(), r);
  }
};

template <class V>
void attend_chunk(const DecodeProblem& p, int64_t first, int64_t last, const ChunkPart& part, void* scratch) {
  const bool whole = p.dim % V::lanes == 0;
  if constexpr (sizeof(typename V::S) == 4) {
    if (whole && p.element == Element::bfloat16)
      return DecodeChunk<V, Element::bfloat16>(p, part, true, scratch).run(first, last);
    if (whole && p.element == Element::float16)
      return DecodeChunk<V, Element::float16>(p, part, true, scratch).run(first, last);
  }
  const bool in_place = whole && element_size(p.element) == ptrdiff_t(sizeof(typename V::S));
  DecodeChunk<V, Element::float32>(p, part, in_place, scratch).run(first, last);
}

}  // namespace
