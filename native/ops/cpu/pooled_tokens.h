// A few queries over many tokens that are keys and values at once. Compiled once for every instruction set
// like band_*.h. Takes 32 tokens at a time: scores them while they come from memory, then sums them up by
// their weights out of the cache, and prefetches the next ones meanwhile.
#pragma once
#include <cstddef>
#include <cstdint>

#include "band_tile.h"
#include "few_rows_problem.h"
#include "lane_sums.h"
#include "running_softmax.h"

namespace {

using longformer::cpu::ChunkPart;
using longformer::cpu::kPoolTokens;
using longformer::cpu::PoolProblem;

// dots[(row * lanes + token) * lanes ..] = the lanes' sums of ROWS queries times TOKENS tokens.
template <class V, int ROWS, int TOKENS>
inline void score_tokens(const typename V::S* q, ptrdiff_t ldq, const typename V::S* const* token,
                         ptrdiff_t n, typename V::S* dots) {
  using T = typename V::T;
  T sum[ROWS][TOKENS];
#pragma GCC unroll 8
  for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 8
    for (int t = 0; t < TOKENS; ++t) sum[r][t] = V::zero();
  for (ptrdiff_t i = 0; i < n; i += V::lanes) {
    T x[TOKENS];
#pragma GCC unroll 8
    for (int t = 0; t < TOKENS; ++t) x[t] = V::load(token[t] + i);
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r) {
      const T y = V::load(q + r * ldq + i);
#pragma GCC unroll 8
      for (int t = 0; t < TOKENS; ++t) sum[r][t] = V::fma(y, x[t], sum[r][t]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 8
    for (int t = 0; t < TOKENS; ++t) V::store(dots + (r * V::lanes + t) * V::lanes, sum[r][t]);
}

template <class V>
struct PoolChunk {
  using S = typename V::S;
  static constexpr int64_t L = V::lanes;
  static constexpr int kVectors = V::max_vectors, kRows = V::block_rows(V::max_vectors);

  const PoolProblem& p;
  const ptrdiff_t token_bytes;
  const bool direct;  // tokens are read in place
  S *dots, *scores, *factor, *copies;
  S *largest, *sum, *context;
  const S* token[kPoolTokens];

  PoolChunk(const PoolProblem& problem, const ChunkPart& part, void* scratch)
      : p(problem),
        token_bytes(problem.stride * element_size(problem.element)),
        direct(element_size(problem.element) == ptrdiff_t(sizeof(S)) && problem.channels % 16 == 0),
        dots(static_cast<S*>(scratch)),
        scores(dots + kRows * L * L),
        factor(scores + kPoolTokens * p.columns),
        copies(factor + p.columns),
        largest(static_cast<S*>(part.largest)),
        sum(static_cast<S*>(part.sum)),
        context(static_cast<S*>(part.context)) {}

  void run(int64_t first, int64_t last) {
    clear_part<V>(p.columns, p.rows * p.padded_channels, largest, sum, context);
    for (int64_t i = 0; i < kPoolTokens * p.columns; i += L) V::store(scores + i, V::zero());
    for (int64_t at = first; at < last; at += kPoolTokens) {
      const int64_t count = find(at, smaller(kPoolTokens, last - at));
      if (count == 0) continue;
      score(count);
      normalise<V>(p.columns, count, scores, largest, sum, factor);
      gather(count, static_cast<const char*>(p.tokens) + (at + kPoolTokens) * token_bytes);
    }
  }

  // The rows of the visible tokens, in the compute type, one distance apart.
  int64_t find(int64_t first, int64_t count) {
    const char* const rows = static_cast<const char*>(p.tokens) + first * token_bytes;
    const auto seen = [&](int64_t j) { return p.visible == nullptr || p.visible[first + j] != 0; };
    bool all = direct;
    for (int64_t j = 0; all && j < count; ++j) all = seen(j);
    if (all) {
      for (int64_t j = 0; j < count; ++j) token[j] = reinterpret_cast<const S*>(rows + j * token_bytes);
      return count;
    }
    int64_t found = 0;
    for (int64_t j = 0; j < count; ++j) {
      if (!seen(j)) continue;
      S* const to = copies + found * p.padded_channels;
      for (int64_t i = (p.channels / L) * L; i < p.padded_channels; i += L) V::store(to + i, V::zero());
      read_row<V>(to, rows + j * token_bytes, p.element, p.channels);
      token[found++] = to;
    }
    return found;
  }

  // A few queries, which stay in the first cache, with all tokens. Where tokens end inside a vector the last
  // is scored again.
  void score(int64_t count) {
    const auto rows = [&](auto n, int64_t r) {
      constexpr int kCount = decltype(n)::value;
      const S* const q = static_cast<const S*>(p.queries) + r * p.padded_channels;
      for (int64_t j = 0; j < count; j += L) {
        for (int64_t t = 0; t < L; t += kVectors) {
          const S* several[kVectors];
          for (int64_t k = 0; k < kVectors; ++k) several[k] = token[smaller(j + t + k, count - 1)];
          score_tokens<V, kCount, kVectors>(q, p.padded_channels, several, p.padded_channels, dots + t * L);
        }
        for (int64_t i = 0; i < kCount; ++i) {
          alignas(64) S of_tokens[L];
          V::store(of_tokens, lane_sums<V>(dots + i * L * L));
          for (int64_t t = 0; t < L && j + t < count; ++t) scores[(j + t) * p.columns + r + i] = of_tokens[t];
        }
      }
    };
    for_each_row_block(rows);
  }

  void gather(int64_t count, const char* ahead) {
    const ptrdiff_t size = element_size(p.element), ldv = count > 1 ? token[1] - token[0] : p.padded_channels;
    for (int64_t d = 0; d < p.padded_channels;) {
      const auto columns = [&](auto vectors) {
        const auto rows = [&](auto n, int64_t r) {
          gather_values<V, decltype(n)::value, decltype(vectors)::value>(
              context + r * p.padded_channels + d, p.padded_channels, factor + r, scores + r, p.columns,
              token[0] + d, ldv, ahead + d * size, token_bytes, L * size, count);
        };
        for_each_row_block(rows);
        d += decltype(vectors)::value * L;
      };
      if (p.padded_channels - d >= kVectors * L)
        columns(Count<kVectors>());
      else
        columns(Count<1>());
    }
  }

  template <class Work>
  void for_each_row_block(const Work& work) {
    int64_t r = 0;
    for (; r + kRows <= p.rows; r += kRows) work(Count<kRows>(), r);
    for (; r + 3 <= p.rows; r += 3) work(Count<3>(), r);
    for (; r < p.rows; ++r) work(Count<1>(), r);
  }
};

template <class V>
void pool_chunk(const PoolProblem& p, int64_t first, int64_t last, const ChunkPart& part, void* scratch) {
  PoolChunk<V>(p, part, scratch).run(first, last);
}

}  // namespace
