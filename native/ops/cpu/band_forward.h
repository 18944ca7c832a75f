// Forward: flash style. One block of 64 queries walks over the tiles of its band and over the global keys
// with a running maximum and sum per query; memory does not depend on the length.
#pragma once
#include "band_problem.h"
#include "band_relative.h"
#include "band_tile.h"

namespace {

using longformer::cpu::BandForwardProblem;

template <class S>
struct ForwardScratch {
  S *rows, *queries, *sums, *scores, *maximum, *total, *rescale, *factors, *high, *offset, *part_sum;
  S *divisor, *part_divisor, *relative, *tiles;
  ForwardScratch(void* memory, const BandProblem& p) {
    const int64_t padded_dim = p.padded_dim;
    S* at = static_cast<S*>(memory);
    const auto take = [&at](int64_t count) {
      S* p = at;
      at += count;
      return p;
    };
    rows = take(kBlock * padded_dim);     // [query][dim]: the input of a transpose
    queries = take(kBlock * padded_dim);  // Q^T [dim][query], in cells
    sums = take(kBlock * padded_dim);     // O^T [dim][query], not yet divided by the total
    scores = take(kBlock * kBlock);       // S^T, then P^T [key][query], in cells
    maximum = take(kBlock);               // in units of log2, scaled
    total = take(kBlock);
    rescale = take(kBlock);
    factors = take(2 * kBlock);
    high = take(kBlock);  // of one tile: the largest score, what is added to the exponent, the sum
    offset = take(kBlock);
    part_sum = take(kBlock);
    divisor = take(kBlock);  // pairs only: the sum of the rounded probabilities; of one tile
    part_divisor = take(kBlock);
    relative = at;
    tiles = relative + longformer::cpu::relative_forward_scratch(p);
  }
};

// Rows are walked in the order of memory, N vectors at a time: a column at a time would meet stores 4096
// bytes away.
template <class V, int N>
inline void raise_maximum(typename V::S* high, const typename V::S* scores, int rows) {
  typename V::T x[N];
  for (int k = 0; k < N; ++k) x[k] = V::load(high + k * V::lanes);
  for (int row = 0; row < rows; ++row, scores += kBlock)
    for (int k = 0; k < N; ++k) x[k] = V::max(x[k], V::load(scores + k * V::lanes));
  for (int k = 0; k < N; ++k) V::store(high + k * V::lanes, x[k]);
}

// Vectors from the lane `at` of some rows of scores, from `first` on, to probabilities, and their sums.
template <class V, int N>
inline void exponentiate(const ForwardScratch<typename V::S>& m, int at, typename V::T factor, int first,
                         int rows) {
  constexpr int W = Cells<V>::width, L = V::lanes;
  const typename V::S *scores = m.scores + first * kBlock + at, *offset = m.offset + at;
  typename V::S* cells = m.scores + first / W * kBlock + at;
  typename V::T sum[N], divisor[N];
  for (int k = 0; k < N; ++k) {
    sum[k] = V::load(m.part_sum + at + k * L);
    if constexpr (W == 2) divisor[k] = V::load(m.part_divisor + at + k * L);
  }
  for (int row = 0; row < rows; row += W, scores += W * kBlock, cells += kBlock) {
    typename V::T x[W * N];
    for (int k = 0; k < W * N; ++k)
      x[k] = V::fma(V::load(scores + k / N * kBlock + k % N * L), factor, V::load(offset + k % N * L));
    exp2_of<V>(x);
    for (int k = 0; k < W * N; ++k) sum[k % N] = V::add(sum[k % N], x[k]);
    for (int k = 0; k < N; ++k) {
      if constexpr (W == 1) {
        V::store(cells + k * L, x[k]);
      } else {
        const typename V::T pair = Cells<V>::pair(x[k], x[N + k]);
        divisor[k] = Cells<V>::add(divisor[k], pair);
        V::store(cells + k * L, pair);
      }
    }
  }
  for (int k = 0; k < N; ++k) {
    V::store(m.part_sum + at + k * L, sum[k]);
    if constexpr (W == 2) V::store(m.part_divisor + at + k * L, divisor[k]);
  }
}

// The tile's scores become exp2(score * c - maximum) after the maximum has been raised; total and rescale
// follow.
template <class V>
inline void softmax_tile(const ForwardScratch<typename V::S>& m, const Block& b, const Tile<typename V::S>& t,
                         typename V::S c) {
  using T = typename V::T;
  constexpr int L = V::lanes;
  const T factor = V::set1(c), lowest = V::set1(sizeof(c) == 4 ? -3.0e38f : typename V::S(-1.0e308));
  const int lanes = b.vectors * L;
  for (int at = 0; at < lanes; at += L) {
    V::store(m.high + at, V::set1(-__builtin_inff()));
    V::store(m.part_sum + at, V::zero());
    V::store(m.part_divisor + at, V::zero());
  }
  for (int i = 0; i < t.parts; ++i) {
    const Part& part = t.part[i];
    const int rows = part.row_end - part.row_begin;
    const typename V::S* s = m.scores + part.row_begin * kBlock;
    int v = part.vector_begin;
    for (; v + 4 <= part.vector_end; v += 4) raise_maximum<V, 4>(m.high + v * L, s + v * L, rows);
    for (; v + 2 <= part.vector_end; v += 2) raise_maximum<V, 2>(m.high + v * L, s + v * L, rows);
    for (; v < part.vector_end; ++v) raise_maximum<V, 1>(m.high + v * L, s + v * L, rows);
  }
  for (int at = 0; at < lanes; at += L) {
    const T before = V::load(m.maximum + at), after = V::max(before, V::mul(V::load(m.high + at), factor));
    // A row without any key so far keeps its maximum of -inf; subtracting a finite number instead gives
    // exp2(-inf) = 0.
    const T offset = V::sub(V::zero(), V::max(after, lowest));
    T alpha[1] = {V::add(before, offset)};
    exp2_of<V>(alpha);
    V::store(m.maximum + at, after);
    V::store(m.offset + at, offset);
    V::store(m.rescale + at, alpha[0]);
  }
  constexpr int W = Cells<V>::width, most = 4 / W;
  // Behind the last key, up to a whole pair or tile, are probabilities of zero.
  const int last = W * int(summed_cells<V>(t.rows));
  for (int row = t.rows; row < last; ++row)
    for (int at = 0; at < lanes; at += L) V::store(m.scores + row * kBlock + at, V::set1(-__builtin_inff()));
  for (int i = 0; i < t.parts; ++i) {
    const Part& part = t.part[i];
    const int first = part.row_begin, rows = (part.row_end == t.rows ? last : part.row_end) - first;
    int v = part.vector_begin;
    for (; v + most <= part.vector_end; v += most) exponentiate<V, most>(m, v * L, factor, first, rows);
    for (; v + 2 <= part.vector_end; v += 2) exponentiate<V, 2>(m, v * L, factor, first, rows);
    for (; v < part.vector_end; ++v) exponentiate<V, 1>(m, v * L, factor, first, rows);
  }
  const auto add = [&](typename V::S* all, const typename V::S* part) {
    for (int at = 0; at < lanes; at += L)
      V::store(all + at, V::fma(V::load(all + at), V::load(m.rescale + at), V::load(part + at)));
  };
  add(m.total, m.part_sum);
  if (W == 2) add(m.divisor, m.part_divisor);
}

template <class V>
inline void drop_tile(const BandProblem& p, const ForwardScratch<typename V::S>& m, int64_t head,
                      const Block& b, const Tile<typename V::S>& t) {
  constexpr int W = Cells<V>::width;
  for (int i = 0; i < t.parts; ++i) {
    const Part& part = t.part[i];
    for (int row = part.row_begin; row < part.row_end; row += W) {
      for (int j = 0; j < W && row + j < part.row_end; ++j)
        dropout_factors<V>(m.factors + j * kBlock, p, head, b, t.tokens[row + j]);
      typename V::S* s = m.scores + row / W * kBlock;
      for (int v = part.vector_begin; v < part.vector_end; ++v) {
        const int at = v * V::lanes;
        V::store(s + at, Cells<V>::drop(V::load(s + at), m.factors + at, kBlock));
      }
    }
  }
}

// sums = sums * rescale + V^T P, the vectors of an edge tile each over the keys that it sees something of.
template <class V>
inline void add_values(const BandProblem& p, const ForwardScratch<typename V::S>& m, const Block& b,
                       const Tile<typename V::S>& t, bool first, Ahead& ahead) {
  using S = typename V::S;
  constexpr int W = Cells<V>::width;
  for (int v = 0; v < b.vectors;) {
    Strip strip = strip_of(t, v);
    const int begin = v++ * V::lanes;
    while (v < b.vectors && strip_of(t, v) == strip) ++v;
    const int vectors = v - begin / V::lanes;
    if (strip.row_begin == strip.row_end) {  // no key of this tile: the maximum stays as well
      for (int64_t d = 0; first && d < p.dim; ++d)
        std::memset(m.sums + d * kBlock + begin, 0, size_t(vectors * V::lanes) * sizeof(S));
      continue;
    }
    const int first_cell = strip.row_begin / W;
    gemm_across<V>(m.sums + begin, p, t.values, first_cell, m.scores + first_cell * kBlock + begin, vectors,
                   summed_cells<V>(strip.row_end) - first_cell, first ? Start::zero : Start::rescale, ahead,
                   m.rescale + begin);
  }
}

template <class V>
void forward_block(const BandForwardProblem& p, const BandUnit& u, int64_t index, TileCache<V>& cache,
                   Ahead& ahead, RelativeScores<V>& positions, const ForwardScratch<typename V::S>& m) {
  using S = typename V::S;
  constexpr int W = Cells<V>::width;
  const Block b = make_block<V>(p, u, index);
  const uint64_t hidden = unusable(p.visible, b.tokens, b.queries);
  const ScaleParts scale = split_scale(p.scale);
  const S c = S(scale.magnitude_log2);
  const int64_t ld = p.padded_dim;
  S* lse = static_cast<S*>(p.lse);
  for (int i = 0; i < b.vectors * V::lanes; ++i) {
    m.maximum[i] = -__builtin_inff();
    m.total[i] = m.divisor[i] = 0;
  }
  bool empty = true;
  if (!all_set(hidden, b.queries)) {
    const int64_t lanes = b.vectors * V::lanes;
    read_rows<V>(m.rows, p, p.q, u.head, b.tokens, b.queries, hidden);
    const int64_t filled = positions.active() ? kBlock : lanes;
    if (filled > b.queries)
      std::memset(m.rows + b.queries * ld, 0, size_t((filled - b.queries) * ld) * sizeof(S));
    if (positions.active()) {
      positions.begin(m.rows, b.queries, S(scale.sign));
      if (W == 1) add_bias<V>(m.rows, p, p.content_bias, u.head, b.queries);
    }
    transpose<V>(m.queries, kBlock, m.rows, ld, b.queries, p.dim, S(scale.sign));
    if constexpr (W == 2) pair_rows<V>(m.queries, m.queries, kBlock, summed<V>(p.dim), lanes);

    int64_t position = b.key_begin;
    const Rows out = {p.out, p.heads * p.dim, p.dim};
    const Rows* const queries[] = {&p.q, &out};
    const int query_sets = p.stream_out ? 1 : 2;
    for (Tile<S> t; next_tile<V>(p, b, cache, position, t);) {
      look_ahead<V>(ahead, p, u, b, index == u.first_block, position, empty, positions.active() ? 3 : 2,
                    queries, query_sets);
      if (positions.active()) positions.write(b, t, m.scores, ahead);
      for (int i = 0; i < t.parts; ++i) {
        const Part& part = t.part[i];
        const int at = part.vector_begin * V::lanes;
        gemm<ProductOf<V>, false>(
            m.scores + part.row_begin * kBlock + at, kBlock, t.keys + part.row_begin * (ld / W), ld / W,
            m.queries + at, kBlock, part.row_end - part.row_begin, part.vector_end - part.vector_begin,
            summed_cells<V>(p.dim), positions.active() ? Start::keep : Start::zero, ahead);
      }
      mask_scores<V>(b, t, m.scores);
      softmax_tile<V>(m, b, t, c);
      if (p.dropout) drop_tile<V>(p, m, u.head, b, t);
      add_values<V>(p, m, b, t, empty, ahead);
      empty = false;
    }
  }
  if (empty) {
    for (int64_t i = 0; i < b.queries; ++i) {
      std::memset(output_row(p.out, p, b.tokens[i], u.head), 0, size_t(p.dim * element_size(p.element)));
      lse[b.tokens[i] * p.heads + u.head] = -__builtin_inff();
    }
    return;
  }
  // The factor of every query's row, and the log-sum-exp: 0 and -inf for a query without keys. Probabilities
  // that were rounded to pairs are divided by the sum of the rounded ones: what is left of the rounding is
  // what the values differ by (decision 115).
  const S kept = W == 2 && p.dropout ? S(p.keep_scale) : S(1);
  const S* divisor = W == 2 ? m.divisor : m.total;
  for (int i = 0; i < b.vectors * V::lanes; ++i) {
    const bool none = i >= b.queries || (hidden >> i & 1u) || m.total[i] == 0;
    m.factors[i] = none ? S(0) : kept / divisor[i];
    constexpr S ln2 = S(0.69314718055994530942);
    if constexpr (sizeof(S) == 4)
      m.high[i] = none ? -__builtin_inff() : m.maximum[i] * ln2 + __builtin_logf(m.total[i]);
    else
      m.high[i] = none ? -__builtin_inf() : m.maximum[i] * ln2 + __builtin_log(m.total[i]);
  }
  transpose<V>(m.rows, ld, m.sums, kBlock, p.dim, b.queries, S(1));
  for (int64_t i = 0; i < b.queries; ++i) {
    char* out = output_row(p.out, p, b.tokens[i], u.head);
    lse[b.tokens[i] * p.heads + u.head] = m.high[i];
    if (m.factors[i] == 0)
      std::memset(out, 0, size_t(p.dim * element_size(p.element)));
    else if (p.stream_out)
      stream_row<V>(reinterpret_cast<S*>(out), m.rows + i * ld, p.dim, m.factors[i]);
    else
      write_row<V>(out, m.rows + i * ld, p.element, p.dim, m.factors[i]);
  }
}

template <class V>
void forward_unit(const BandForwardProblem& p, const BandUnit& u, void* scratch) {
  [[maybe_unused]] const typename Cells<V>::Registers registers;
  const ForwardScratch<typename V::S> memory(scratch, p);
  RelativeScores<V> positions(p, u, memory.relative);
  TileCache<V> cache(p, u, false, memory.tiles, memory.rows);
  Ahead ahead;
  for (int64_t i = 0; i < u.blocks; ++i)
    forward_block<V>(p, u, u.first_block + i, cache, ahead, positions, memory);
  if (p.stream_out) V::stream_end();
}

}  // namespace
