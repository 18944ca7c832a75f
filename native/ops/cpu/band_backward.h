// Backward: probabilities recomputed from the log-sum-exp; five products for a tile. A unit is a segment of
// query blocks walked in order: dQ of a block is complete when the block is, dK and dV gather in the thread's
// scratch. Keys near a segment's ends get contributions from its neighbours too; those are added in a second
// pass, always in the same order. No result depends on the number of threads.
#pragma once
#include "band_problem.h"
#include "band_relative.h"
#include "band_tile.h"

namespace {

using longformer::cpu::BandBackwardProblem;
using longformer::cpu::BandMerge;

template <class V>
struct BackwardScratch {
  using S = typename V::S;
  S *rows, *q_rows, *q_columns, *g_rows, *g_columns, *dq, *scores, *grads, *paired_grads;
  S *offset, *delta, *factors;
  S *dk, *dv;                // [key - key_begin][padded_dim]
  S *dk_global, *dv_global;  // [global][padded_dim]
  S *relative, *relative_gradients, *tiles;
  BackwardScratch(void* memory, const BandProblem& p, const BandUnit& u, int64_t touched, int64_t globals) {
    const int64_t padded_dim = p.padded_dim;
    S* at = static_cast<S*>(memory);
    const auto take = [&at](int64_t count) {
      S* p = at;
      at += count;
      return p;
    };
    rows = take(kBlock * padded_dim);
    // The queries in cells, each element of a cell from one of two neighbouring rows.
    q_rows = take(kBlock * padded_dim);     // Q [query][dim]
    q_columns = take(kBlock * padded_dim);  // Q^T [dim][query], with the sign of the scale
    g_rows = take(kBlock * padded_dim);     // dO [query][dim]
    g_columns = take(kBlock * padded_dim);  // dO^T [dim][query]
    dq = take(kBlock * padded_dim);         // dQ^T [dim][query]
    scores = take(kBlock * kBlock);         // S^T, then P^T [key][query], dropped
    grads = take(kBlock * kBlock);          // dP^T, then dS^T [key][query]
    paired_grads = Cells<V>::width == 1 ? grads : take(kBlock * kBlock);  // dS^T in cells of two keys
    offset = take(kBlock);                                                // minus the log-sum-exp, in log2
    delta = take(kBlock);                                                 // sum over dim of dO * O
    factors = take(kBlock);
    dk = take(touched * padded_dim);
    dv = take(touched * padded_dim);
    dk_global = take(globals * padded_dim);
    dv_global = take(globals * padded_dim);
    relative = at;
    relative_gradients = relative + longformer::cpu::relative_forward_scratch(p);
    tiles = relative_gradients + longformer::cpu::relative_backward_scratch(p, u.relative_count);
  }
};

template <class V, int N>
inline void backward_lanes(const BandProblem& p, const BackwardScratch<V>& m, typename V::S* s,
                           typename V::S* g, int at, typename V::T factor) {
  constexpr int L = V::lanes;
  typename V::T x[N];
  for (int k = 0; k < N; ++k) x[k] = V::fma(V::load(s + at + k * L), factor, V::load(m.offset + at + k * L));
  exp2_of<V>(x);
  for (int k = 0; k < N; ++k) {
    const int lane = at + k * L;
    typename V::T kept = x[k], gradient = V::load(g + lane);
    if (p.dropout) {
      const typename V::T keep = V::load(m.factors + lane);
      kept = V::mul(kept, keep);
      gradient = V::mul(gradient, keep);
    }
    Cells<V>::store(s + lane / Cells<V>::width, kept);
    V::store(g + lane, V::mul(x[k], V::sub(gradient, V::load(m.delta + lane))));
  }
}

// scores: S^T to P^T (dropped ones zero, kept ones scaled) in cells of neighbouring queries, grads: dP^T to
// dS^T.
template <class V>
inline void backward_tile(const BandProblem& p, const BackwardScratch<V>& m, int64_t head, const Block& b,
                          const Tile<typename V::S>& t, typename V::S c) {
  const typename V::T factor = V::set1(c);
  for (int i = 0; i < t.parts; ++i) {
    const Part& part = t.part[i];
    for (int row = part.row_begin; row < part.row_end; ++row) {
      if (p.dropout) dropout_factors<V>(m.factors, p, head, b, t.tokens[row]);
      typename V::S *s = m.scores + row * kBlock, *g = m.grads + row * kBlock;
      int v = part.vector_begin;
      for (; v + 4 <= part.vector_end; v += 4) backward_lanes<V, 4>(p, m, s, g, v * V::lanes, factor);
      for (; v + 2 <= part.vector_end; v += 2) backward_lanes<V, 2>(p, m, s, g, v * V::lanes, factor);
      for (; v < part.vector_end; ++v) backward_lanes<V, 1>(p, m, s, g, v * V::lanes, factor);
    }
  }
}

// The cells of two queries, in place, and of two keys that the products of dS^T take. Pairs only.
template <class V>
inline void pair_grads(const BackwardScratch<V>& m, const Tile<typename V::S>& t) {
  using T = typename V::T;
  for (int i = 0; i < t.parts; ++i) {
    const Part& part = t.part[i];
    for (int row = part.row_begin; row < part.row_end; row += 2) {
      typename V::S *g = m.grads + row * kBlock, *next = g + kBlock;
      for (int v = part.vector_begin; v < part.vector_end; ++v) {
        const int at = v * V::lanes;
        const T x = V::load(g + at), y = row + 1 < part.row_end ? V::load(next + at) : V::zero();
        V::store(m.paired_grads + row / 2 * kBlock + at, Cells<V>::pair(x, y));
        Cells<V>::store(g + at / 2, x);
        Cells<V>::store(next + at / 2, y);
      }
    }
  }
  for (ptrdiff_t cell = cells_of<V>(t.rows); cell < summed_cells<V>(t.rows); ++cell)
    std::memset(m.paired_grads + cell * kBlock, 0, size_t(kBlock) * sizeof(typename V::S));
}

template <class V>
inline void load_queries(const BandBackwardProblem& p, const BandUnit& u, const Block& b,
                         const BackwardScratch<V>& m, uint64_t dead, typename V::S sign,
                         RelativeScores<V>& positions) {
  using S = typename V::S;
  const int64_t ld = p.padded_dim, lanes = b.vectors * V::lanes;
  const size_t rest = size_t((lanes - b.queries) * ld) * sizeof(S);
  read_rows<V>(m.q_rows, p, p.q, u.head, b.tokens, b.queries, dead);
  read_rows<V>(m.g_rows, p, p.grad_out, u.head, b.tokens, b.queries, dead);
  read_rows<V>(m.rows, p, p.out, u.head, b.tokens, b.queries, dead);
  if (positions.active()) {
    std::memset(m.q_rows + b.queries * ld, 0, size_t((kBlock - b.queries) * ld) * sizeof(S));
    positions.begin(m.q_rows, b.queries, sign);
    if (Cells<V>::width == 1) add_bias<V>(m.q_rows, p, p.content_bias, u.head, b.queries);
  } else {
    std::memset(m.q_rows + b.queries * ld, 0, rest);
  }
  std::memset(m.g_rows + b.queries * ld, 0, rest);
  transpose<V>(m.q_columns, kBlock, m.q_rows, ld, b.queries, p.dim, sign);
  transpose<V>(m.g_columns, kBlock, m.g_rows, ld, b.queries, p.dim, S(1));
  constexpr double log2e = 1.4426950408889634074;
  const S* lse = static_cast<const S*>(p.lse);
  for (int64_t i = 0; i < lanes; ++i) {
    const bool counts = i < b.queries && !(dead >> i & 1u);
    typename V::T sum = V::zero();
    if (counts) {
      for (int64_t d = 0; d < p.dim; d += V::lanes)
        sum = V::fma(V::load(m.g_rows + i * ld + d), V::load(m.rows + i * ld + d), sum);
    }
    m.delta[i] = V::sum(sum);
    m.offset[i] = counts ? -lse[b.tokens[i] * p.heads + u.head] * S(log2e) : S(-__builtin_inff());
  }
  if constexpr (Cells<V>::width == 2) {
    pair_rows<V>(m.q_columns, m.q_columns, kBlock, summed<V>(p.dim), lanes);
    pair_rows<V>(m.g_columns, m.g_columns, kBlock, summed<V>(p.dim), lanes);
    if (positions.active()) add_bias<V>(m.q_rows, p, p.content_bias, u.head, b.queries);
    pair_rows<V>(m.q_rows, m.q_rows, ld, lanes, ld);
    pair_rows<V>(m.g_rows, m.g_rows, ld, lanes, ld);
  }
}

template <class V>
void backward_block(const BandBackwardProblem& p, const BandUnit& u, int64_t index, TileCache<V>& cache,
                    Ahead& ahead, RelativeScores<V>& positions, RelativeGradients<V>& gradients,
                    const BackwardScratch<V>& m) {
  using S = typename V::S;
  constexpr int W = Cells<V>::width;
  const Block b = make_block<V>(p, u, index);
  const int64_t ld = p.padded_dim, dim_vectors = (p.dim + V::lanes - 1) / V::lanes;
  const S* lse = static_cast<const S*>(p.lse);
  uint64_t dead = unusable(p.visible, b.tokens, b.queries);  // queries whose row of probabilities is zero
  for (int64_t i = 0; i < b.queries; ++i)
    dead |= uint64_t(lse[b.tokens[i] * p.heads + u.head] == -__builtin_inff()) << i;
  if (all_set(dead, b.queries)) {
    for (int64_t i = 0; i < b.queries; ++i)
      std::memset(output_row(p.grad_q, p, b.tokens[i], u.head), 0, size_t(p.dim * element_size(p.element)));
    return;
  }
  const ScaleParts scale = split_scale(p.scale);
  load_queries<V>(p, u, b, m, dead, S(scale.sign), positions);
  if (positions.active()) gradients.begin();
  const Start scores_start = positions.active() ? Start::keep : Start::zero;
  std::memset(m.dq, 0, size_t(p.dim * kBlock) * sizeof(S));
  int64_t position = b.key_begin;
  const Rows* const queries[] = {&p.q, &p.grad_out, &p.out};
  bool first_tile = true;
  for (Tile<S> t; next_tile<V>(p, b, cache, position, t); first_tile = false) {
    look_ahead<V>(ahead, p, u, b, index == u.first_block, position, first_tile, positions.active() ? 8 : 5,
                  queries, 3);
    if (positions.active()) positions.write(b, t, m.scores, ahead);
    for (int i = 0; i < t.parts; ++i) {
      const Part& part = t.part[i];
      const int at = part.vector_begin * V::lanes, vectors = part.vector_end - part.vector_begin;
      const int rows = part.row_end - part.row_begin, square = part.row_begin * int(kBlock) + at;
      const int64_t row_cells = ld / W, first = part.row_begin * row_cells;
      gemm<ProductOf<V>, false>(m.scores + square, kBlock, t.keys + first, row_cells, m.q_columns + at,
                                kBlock, rows, vectors, summed_cells<V>(p.dim), scores_start, ahead);
      gemm<ProductOf<V>, false>(m.grads + square, kBlock, t.values + first, row_cells, m.g_columns + at,
                                kBlock, rows, vectors, summed_cells<V>(p.dim), Start::zero, ahead);
    }
    mask_scores<V>(b, t, m.scores);
    backward_tile<V>(p, m, u.head, b, t, S(scale.magnitude_log2));
    if (positions.active()) gradients.add(b, t, m.grads, ahead);
    if constexpr (W == 2) pair_grads<V>(m, t);
    S* dk = t.global ? m.dk_global + t.first * ld : m.dk + (t.first - u.key_begin) * ld;
    S* dv = t.global ? m.dv_global + t.first * ld : m.dv + (t.first - u.key_begin) * ld;
    for (int i = 0; i < t.parts; ++i) {
      const Part& part = t.part[i];
      const int at = part.vector_begin * V::lanes, vectors = part.vector_end - part.vector_begin;
      const int rows = part.row_end - part.row_begin;
      const int64_t lanes = summed<V>(smaller(vectors * V::lanes, b.queries - at)),
                    first_cell = part.row_begin / W, square = part.row_begin * kBlock + at / W;
      gemm_across<V>(m.dq + at, p, t.paired_keys, first_cell, m.paired_grads + first_cell * kBlock + at,
                     vectors, summed_cells<V>(rows), Start::keep, ahead);
      gemm<ProductOf<V>, false>(dv + part.row_begin * ld, ld, m.scores + square, kBlock,
                                m.g_rows + at / W * ld, ld, rows, dim_vectors, cells_of<V>(lanes),
                                Start::keep, ahead);
      gemm<ProductOf<V>, false>(dk + part.row_begin * ld, ld, m.grads + square, kBlock,
                                m.q_rows + at / W * ld, ld, rows, dim_vectors, cells_of<V>(lanes),
                                Start::keep, ahead);
    }
  }
  transpose<V>(m.rows, ld, m.dq, kBlock, p.dim, b.queries, S(1));
  if (positions.active()) gradients.end(b, m.rows, ahead);
  for (int64_t i = 0; i < b.queries; ++i)
    write_row<V>(output_row(p.grad_q, p, b.tokens[i], u.head), m.rows + i * ld, p.element, p.dim, S(p.scale));
}

// Whether some query of the unit's segment sees this key of the class, and whether only its queries do.
inline bool touches(const BandUnit& u, int64_t key) {
  return key >= u.key_begin && key < u.key_end;
}
inline bool owns(const BandProblem& p, const BandUnit& u, int64_t key) {
  const int64_t begin = u.first_block * kBlock, end = (u.first_block + u.blocks) * kBlock;
  return (begin == 0 || key - p.window_right >= begin) && (end >= u.length || key + p.window_left < end);
}

template <class V>
void backward_unit(const BandBackwardProblem& p, const BandUnit& u, void* scratch) {
  using S = typename V::S;
  const int64_t ld = p.padded_dim, touched = u.key_end - u.key_begin;
  const int64_t globals =
      p.global_start == nullptr ? 0 : p.global_start[u.sequence + 1] - p.global_start[u.sequence];
  [[maybe_unused]] const typename Cells<V>::Registers registers;
  const BackwardScratch<V> m(scratch, p, u, touched, globals);
  RelativeScores<V> positions(p, u, m.relative);
  RelativeGradients<V> gradients(p, u, positions, m.relative_gradients);
  std::memset(m.dk, 0, size_t(2 * (touched + globals) * ld) * sizeof(S));
  TileCache<V> cache(p, u, true, m.tiles, m.rows);
  Ahead ahead;
  for (int64_t i = 0; i < u.blocks; ++i)
    backward_block<V>(p, u, u.first_block + i, cache, ahead, positions, gradients, m);
  if (positions.active()) gradients.store();

  for (int64_t i = 0; i < touched; ++i) {
    const int64_t key = u.key_begin + i;
    if (owns(p, u, key)) {
      const int64_t token = p.offsets[u.sequence] + u.residue + key * u.dilation;
      write_row<V>(output_row(p.grad_k, p, token, u.head), m.dk + i * ld, p.element, p.dim, S(p.scale));
      write_row<V>(output_row(p.grad_v, p, token, u.head), m.dv + i * ld, p.element, p.dim, S(1));
    } else {
      S* shared = static_cast<S*>(u.shared);
      std::memcpy(shared + i * ld, m.dk + i * ld, size_t(ld) * sizeof(S));
      std::memcpy(shared + (touched + i) * ld, m.dv + i * ld, size_t(ld) * sizeof(S));
    }
  }
  if (globals > 0 && u.shared_global != nullptr)
    std::memcpy(u.shared_global, m.dk_global, size_t(2 * globals * ld) * sizeof(S));
  // The only unit of its head has the whole sums.
  for (int64_t g = 0; g < globals && u.shared_global == nullptr; ++g) {
    const int64_t token = p.global_token[p.global_start[u.sequence] + g];
    write_row<V>(output_row(p.grad_k, p, token, u.head), m.dk_global + g * ld, p.element, p.dim, S(p.scale));
    write_row<V>(output_row(p.grad_v, p, token, u.head), m.dk_global + (globals + g) * ld, p.element, p.dim,
                 S(1));
  }
}

// Adds one row of padded_dim elements to the sum.
template <class V>
inline void add_row(typename V::S* sum, const typename V::S* row, int64_t dim) {
  for (int64_t d = 0; d < dim; d += V::lanes) V::store(sum + d, V::add(V::load(sum + d), V::load(row + d)));
}

template <class V>
void merge_local(const BandBackwardProblem& p, const BandMerge& merge, int64_t first, int64_t last,
                 void* scratch) {
  using S = typename V::S;
  const int64_t ld = p.padded_dim;
  S *dk = static_cast<S*>(scratch), *dv = dk + ld;
  for (int64_t key = first; key < last; ++key) {
    bool shared_key = false;
    for (int64_t i = 0; i < merge.count; ++i) {
      const BandUnit& u = merge.units[i];
      if (!touches(u, key)) continue;
      if (owns(p, u, key)) break;  // written already
      if (!shared_key) std::memset(dk, 0, size_t(2 * ld) * sizeof(S));
      shared_key = true;
      const S* shared = static_cast<const S*>(u.shared);
      add_row<V>(dk, shared + (key - u.key_begin) * ld, p.dim);
      add_row<V>(dv, shared + (u.key_end - u.key_begin + key - u.key_begin) * ld, p.dim);
    }
    if (!shared_key) continue;
    const BandUnit& u = merge.units[0];
    const int64_t token = p.offsets[u.sequence] + u.residue + key * u.dilation;
    write_row<V>(output_row(p.grad_k, p, token, u.head), dk, p.element, p.dim, S(p.scale));
    write_row<V>(output_row(p.grad_v, p, token, u.head), dv, p.element, p.dim, S(1));
  }
}

template <class V>
void merge_global(const BandBackwardProblem& p, const BandMerge& merge, int64_t first, int64_t last,
                  void* scratch) {
  using S = typename V::S;
  const int64_t ld = p.padded_dim;
  S *dk = static_cast<S*>(scratch), *dv = dk + ld;
  const int64_t sequence = merge.units[0].sequence, head = merge.units[0].head;
  const int64_t globals = p.global_start[sequence + 1] - p.global_start[sequence];
  for (int64_t g = first; g < last; ++g) {
    std::memset(dk, 0, size_t(2 * ld) * sizeof(S));
    for (int64_t i = 0; i < merge.count; ++i) {
      const S* shared = static_cast<const S*>(merge.units[i].shared_global);
      add_row<V>(dk, shared + g * ld, p.dim);
      add_row<V>(dv, shared + (globals + g) * ld, p.dim);
    }
    const int64_t token = p.global_token[p.global_start[sequence] + g];
    write_row<V>(output_row(p.grad_k, p, token, head), dk, p.element, p.dim, S(p.scale));
    write_row<V>(output_row(p.grad_v, p, token, head), dv, p.element, p.dim, S(1));
  }
}

}  // namespace
