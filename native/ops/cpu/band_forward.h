// Forward: flash style. One block of 64 queries walks over the tiles of its band and over the global keys with a running
// maximum and sum per query; memory does not depend on the length.
#pragma once
#include "band_problem.h"
#include "band_tile.h"

namespace {

using longformer::cpu::BandForwardProblem;

template <class S>
struct ForwardScratch {
  S *rows, *queries, *keys, *values, *sums, *scores, *maximum, *total, *rescale, *factors;
  ForwardScratch(void* memory, int64_t padded_dim) {
    S* at = static_cast<S*>(memory);
    const auto take = [&at](int64_t count) { S* p = at; at += count; return p; };
    rows = take(kBlock * padded_dim);     // [query][dim]: what goes through a transpose
    queries = take(kBlock * padded_dim);  // Q^T [dim][query]
    keys = take(kBlock * padded_dim);     // [key][dim], where they cannot be read in place
    values = take(kBlock * padded_dim);   // [key][dim]
    sums = take(kBlock * padded_dim);     // O^T [dim][query], not yet divided by the total
    scores = take(kBlock * kBlock);       // S^T, then P^T [key][query]
    maximum = take(kBlock);               // in units of log2, scaled
    total = take(kBlock);
    rescale = take(kBlock);
    factors = take(kBlock);
  }
};

// The tile's scores become exp2(score * c - maximum) after the maximum has been raised; total and rescale follow.
template <class V>
inline void softmax_tile(const ForwardScratch<typename V::S>& m, const Block& b, const Tile& t, typename V::S c) {
  using T = typename V::T;
  const T factor = V::set1(c), lowest = V::set1(sizeof(c) == 4 ? -3.0e38f : typename V::S(-1.0e308));
  for (int v = 0; v < b.vectors; ++v) {
    const int at = v * V::lanes;
    T high = V::set1(-__builtin_inff()), high2 = high;
    for (int i = 0; i < t.parts; ++i) {
      const Part& part = t.part[i];
      if (v < part.vector_begin || v >= part.vector_end) continue;
      const typename V::S* s = m.scores + part.row_begin * kBlock + at;
      int row = part.row_begin;
      for (; row + 2 <= part.row_end; row += 2, s += 2 * kBlock) {
        high = V::max(high, V::load(s));
        high2 = V::max(high2, V::load(s + kBlock));
      }
      if (row < part.row_end) high = V::max(high, V::load(s));
    }
    const T before = V::load(m.maximum + at);
    const T after = V::max(before, V::mul(V::max(high, high2), factor));
    // A row without any key so far keeps its maximum of -inf; subtracting a finite number instead gives exp2(-inf) = 0.
    const T finite = V::max(after, lowest), offset = V::sub(V::zero(), finite);
    const T alpha = V::exp2(V::add(before, offset));
    T sum = V::zero();
    for (int i = 0; i < t.parts; ++i) {
      const Part& part = t.part[i];
      if (v < part.vector_begin || v >= part.vector_end) continue;
      typename V::S* s = m.scores + part.row_begin * kBlock + at;
      for (int row = part.row_begin; row < part.row_end; ++row, s += kBlock) {
        const T p = V::exp2(V::fma(V::load(s), factor, offset));
        sum = V::add(sum, p);
        V::store(s, p);
      }
    }
    V::store(m.maximum + at, after);
    V::store(m.total + at, V::fma(V::load(m.total + at), alpha, sum));
    V::store(m.rescale + at, alpha);
  }
}

template <class V>
inline void drop_tile(const BandProblem& p, const ForwardScratch<typename V::S>& m, int64_t head, const Block& b,
                      const Tile& t) {
  for (int i = 0; i < t.parts; ++i) {
    const Part& part = t.part[i];
    for (int row = part.row_begin; row < part.row_end; ++row) {
      dropout_factors<V>(m.factors, p, head, b, t.tokens[row]);
      typename V::S* s = m.scores + row * kBlock;
      for (int v = part.vector_begin; v < part.vector_end; ++v) {
        const int at = v * V::lanes;
        V::store(s + at, V::mul(V::load(s + at), V::load(m.factors + at)));
      }
    }
  }
}

template <class V>
void forward_block(const BandForwardProblem& p, const BandUnit& u, int64_t index, const ForwardScratch<typename V::S>& m) {
  using S = typename V::S;
  const Block b = make_block<V>(p, u, index);
  const uint64_t hidden = unusable(p.visible, b.tokens, b.queries);
  const ScaleParts scale = split_scale(p.scale);
  const S c = S(scale.magnitude_log2);
  const int64_t ld = p.padded_dim;
  S* lse = static_cast<S*>(p.lse);
  for (int i = 0; i < b.vectors * V::lanes; ++i) {
    m.maximum[i] = -__builtin_inff();
    m.total[i] = 0;
  }
  bool empty = true;
  if (!all_set(hidden, b.queries)) {
    const int64_t lanes = b.vectors * V::lanes;
    read_rows<V>(m.rows, p, p.q, u.head, b.tokens, b.queries, hidden);
    if (lanes > b.queries) std::memset(m.rows + b.queries * ld, 0, size_t((lanes - b.queries) * ld) * sizeof(S));
    transpose<V>(m.queries, kBlock, m.rows, ld, b.queries, p.dim, S(scale.sign));

    const bool in_place = p.element == Element::float32 || p.element == Element::float64;
    int64_t position = b.key_begin;
    for (Tile t; next_tile<V>(p, b, position, t);) {
      const S* keys = m.keys;
      ptrdiff_t key_stride = ld;
      if (in_place && !t.global) {
        keys = reinterpret_cast<const S*>(row_address(p.k, p.element, t.tokens.first, u.head));
        key_stride = t.tokens.step * p.k.token_stride;
      } else {
        read_rows<V>(m.keys, p, p.k, u.head, t.tokens, t.rows, t.skip);
      }
      // Values are always packed: rows of a [N, H, D] tensor fall on few cache sets, and are read several times.
      read_rows<V>(m.values, p, p.v, u.head, t.tokens, t.rows, t.skip);
      for (int i = 0; i < t.parts; ++i) {
        const Part& part = t.part[i];
        const int at = part.vector_begin * V::lanes;
        gemm<V, false>(m.scores + part.row_begin * kBlock + at, kBlock, keys + part.row_begin * key_stride, key_stride,
                       m.queries + at, kBlock, part.row_end - part.row_begin, part.vector_end - part.vector_begin, p.dim,
                       Start::zero);
      }
      mask_scores<V>(b, t, m.scores);
      softmax_tile<V>(m, b, t, c);
      if (p.dropout) drop_tile<V>(p, m, u.head, b, t);
      const bool whole = !t.edge;
      if (!whole) {  // the parts do not cover every lane: rescale apart
        if (empty) {
          std::memset(m.sums, 0, size_t(p.dim * kBlock) * sizeof(S));
        } else {
          for (int64_t d = 0; d < p.dim; ++d) {
            for (int v = 0; v < b.vectors; ++v) {
              S* o = m.sums + d * kBlock + v * V::lanes;
              V::store(o, V::mul(V::load(o), V::load(m.rescale + v * V::lanes)));
            }
          }
        }
      }
      const Start start = !whole ? Start::keep : empty ? Start::zero : Start::rescale;
      for (int i = 0; i < t.parts; ++i) {
        const Part& part = t.part[i];
        const int at = part.vector_begin * V::lanes;
        gemm<V, true>(m.sums + at, kBlock, m.values + part.row_begin * ld, ld, m.scores + part.row_begin * kBlock + at,
                      kBlock, p.dim, part.vector_end - part.vector_begin, part.row_end - part.row_begin, start,
                      m.rescale + at);
      }
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
  transpose<V>(m.rows, ld, m.sums, kBlock, p.dim, b.queries, S(1));
  for (int64_t i = 0; i < b.queries; ++i) {
    char* out = output_row(p.out, p, b.tokens[i], u.head);
    S& log_sum = lse[b.tokens[i] * p.heads + u.head];
    if ((hidden >> i & 1u) || m.total[i] == 0) {
      std::memset(out, 0, size_t(p.dim * element_size(p.element)));
      log_sum = -__builtin_inff();
    } else {
      write_row<V>(out, m.rows + i * ld, p.element, p.dim, S(1) / m.total[i]);
      constexpr double ln2 = 0.69314718055994530942;
      if constexpr (sizeof(S) == 4) {
        log_sum = m.maximum[i] * S(ln2) + __builtin_logf(m.total[i]);
      } else {
        log_sum = m.maximum[i] * S(ln2) + __builtin_log(m.total[i]);
      }
    }
  }
}

template <class V>
void forward_unit(const BandForwardProblem& p, const BandUnit& u, void* scratch) {
  const ForwardScratch<typename V::S> memory(scratch, p.padded_dim);
  for (int64_t i = 0; i < u.blocks; ++i) forward_block<V>(p, u, u.first_block + i, memory);
}

}  // namespace
