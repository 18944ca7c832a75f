// The attention of a few queries (the beams of a document) over many keys; compiled once for every
// instruction set like band_*.h. Keys and values are read token by token, once for all queries and heads. The
// score of a query and head is a lane: 16 keys' scores are a matrix [key][column], whose softmax is a
// vertical operation, rescaled from one 16 keys to the next.
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

// The scores' lanes of one key with ROWS queries of one head. While one is computed with, the other side of
// the tile comes from memory: values while keys are read, the next keys while values are.
template <class V, int ROWS>
inline void score(const typename V::S* q, ptrdiff_t ldq, const typename V::S* key, ptrdiff_t n,
                  const char* ahead, ptrdiff_t ahead_step, typename V::S* dots) {
  using T = typename V::T;
  T sum[ROWS];
#pragma GCC unroll 4
  for (int r = 0; r < ROWS; ++r) sum[r] = V::zero();
  for (ptrdiff_t i = 0; i < n; i += V::lanes) {
    const T k = V::load(key + i);
    __builtin_prefetch(ahead, 0, 1);
    ahead += ahead_step;
#pragma GCC unroll 4
    for (int r = 0; r < ROWS; ++r) sum[r] = V::fma(k, V::load(q + r * ldq + i), sum[r]);
  }
#pragma GCC unroll 4
  for (int r = 0; r < ROWS; ++r) V::store(dots + r * V::lanes, sum[r]);
}

template <class V>
struct DecodeChunk {
  using S = typename V::S;
  using T = typename V::T;
  static constexpr int64_t L = V::lanes;

  const DecodeProblem& p;
  const ptrdiff_t size, vector_bytes;
  const bool direct;  // rows are read in place
  S *dots, *scores, *factor, *rows;
  S *largest, *sum, *context;

  DecodeChunk(const DecodeProblem& problem, const ChunkPart& part, void* scratch)
      : p(problem),
        size(element_size(problem.element)),
        vector_bytes(L * element_size(problem.element)),
        direct(size == ptrdiff_t(sizeof(S)) && problem.dim % L == 0),
        dots(static_cast<S*>(scratch)),
        scores(dots + 16 * p.columns),
        factor(scores + kDecodeTokens * p.columns),
        rows(factor + p.columns),
        largest(static_cast<S*>(part.largest)),
        sum(static_cast<S*>(part.sum)),
        context(static_cast<S*>(part.context)) {}

  void run(int64_t first, int64_t last) {
    clear_part<V>(p.columns, p.rows * p.heads * p.padded_dim, largest, sum, context);
    for (int64_t c = p.rows * p.heads; c < p.columns; ++c) V::store(dots + c * L, V::zero());
    for (int64_t token = first; token < last; token += kDecodeTokens) {
      const int64_t count = smaller(kDecodeTokens, last - token);
      for (int64_t j = 0; j < count; ++j) score_key(token + j, scores + j * p.columns);
      normalise<V>(p.columns, count, scores, largest, sum, factor);
      for (int64_t h = 0; h < p.heads; ++h) add_values(token, count, h);
    }
  }

  void score_key(int64_t token, S* row) {
    const S* q = static_cast<const S*>(p.query);
    const ptrdiff_t ldq = p.heads * p.padded_dim;
    const ptrdiff_t width = (p.dim + L - 1) / L * L;
    for (int64_t h = 0; h < p.heads; ++h) {
      const char* address = row_address(p.key, p.element, token, h);
      const S* key = rows;
      if (direct) {
        key = reinterpret_cast<const S*>(address);
      } else {
        read_row<V>(rows, address, p.element, p.dim);
      }
      const char* ahead = row_address(p.value, p.element, token, h);
      const S* of_head = q + h * p.padded_dim;
      S* to = dots + h * p.rows * L;
      for (int64_t r = 0; r < p.rows;) {
        const S* from = of_head + r * ldq;
        switch (smaller(p.rows - r, 4)) {
          case 4:
            score<V, 4>(from, ldq, key, width, ahead, vector_bytes, to + r * L);
            r += 4;
            break;
          case 3:
            score<V, 3>(from, ldq, key, width, ahead, vector_bytes, to + r * L);
            r += 3;
            break;
          case 2:
            score<V, 2>(from, ldq, key, width, ahead, vector_bytes, to + r * L);
            r += 2;
            break;
          default:
            score<V, 1>(from, ldq, key, width, ahead, vector_bytes, to + r * L);
            r += 1;
            break;
        }
      }
    }
    for (int64_t c = 0; c < p.columns; c += L) V::store(row + c, lane_sums<V>(dots + c * L));
    if (p.mask == nullptr) return;
    for (int64_t r = 0; r < p.rows; ++r) {
      if (p.mask[r * p.mask_stride + token] != 0) continue;
      for (int64_t h = 0; h < p.heads; ++h) row[h * p.rows + r] = lowest_of(S());
    }
  }

  void add_values(int64_t token, int64_t count, int64_t head) {
    const char* address = row_address(p.value, p.element, token, head);
    const char* ahead = row_address(p.key, p.element, token + kDecodeTokens, head);
    const S* value = rows;
    ptrdiff_t ldv = p.padded_dim;
    if (direct) {
      value = reinterpret_cast<const S*>(address);
      ldv = p.value.token_stride;
    } else {
      for (int64_t j = 0; j < count; ++j)
        read_row<V>(rows + j * p.padded_dim, address + j * p.value.token_stride * size, p.element, p.dim);
    }
    const ptrdiff_t width = (p.dim + L - 1) / L * L;
    for (ptrdiff_t d = 0; d < width;) {
      if (width - d >= V::max_vectors * L) {
        add_columns<V::max_vectors>(value + d, ldv, ahead + d * size, head, d, count);
        d += V::max_vectors * L;
      } else {
        add_columns<1>(value + d, ldv, ahead + d * size, head, d, count);
        d += L;
      }
    }
  }

  template <int VECTORS>
  void add_columns(const S* value, ptrdiff_t ldv, const char* ahead, int64_t head, ptrdiff_t d,
                   int64_t count) {
    const ptrdiff_t ldc = p.heads * p.padded_dim, ahead_stride = p.key.token_stride * size;
    for (int64_t r = 0; r < p.rows;) {
      S* to = context + r * ldc + head * p.padded_dim + d;
      const S *f = factor + head * p.rows + r, *w = scores + head * p.rows + r;
      switch (smaller(p.rows - r, 4)) {
        case 4:
          gather_values<V, 4, VECTORS>(to, ldc, f, w, p.columns, value, ldv, ahead, ahead_stride,
                                       vector_bytes, count);
          r += 4;
          break;
        case 3:
        case 2:
          gather_values<V, 2, VECTORS>(to, ldc, f, w, p.columns, value, ldv, ahead, ahead_stride,
                                       vector_bytes, count);
          r += 2;
          break;
        default:
          gather_values<V, 1, VECTORS>(to, ldc, f, w, p.columns, value, ldv, ahead, ahead_stride,
                                       vector_bytes, count);
          r += 1;
      }
    }
  }
};

template <class V>
void attend_chunk(const DecodeProblem& p, int64_t first, int64_t last, const ChunkPart& part, void* scratch) {
  DecodeChunk<V>(p, part, scratch).run(first, last);
}

}  // namespace
