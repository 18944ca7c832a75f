// Relative positions in the CPU kernels: the part of a score by the key's distance, forward and backward.
//
// Slot u of a window, u = 0 .. window_left + window_right from the leftmost key to the rightmost, is at
// the distance (window_left - u) * dilation from any query, so the table's rows in the order of the slots are
// prepared once (prepare_relative), and a block of 64 queries is multiplied with tiles of 64 slots: no more
// products than there are pairs of a query and a key. The key in row r of a tile of keys is in slot
// j + r - i of query i, so a tile needs two neighbouring tiles of slots, which are side by side in the band
// [query][128]. Moving one query down is moving one slot left: the band read with a row distance of 127 is
// the matrix [query][key], and transposed it is what the kernels call scores. The same way back for
// gradients.
#pragma once
#include "band_problem.h"
#include "band_tile.h"

namespace {

using longformer::cpu::BandBackwardProblem;

constexpr int64_t kBandRow = 2 * kBlock;

inline int64_t slots_of(const BandProblem& p) {
  return p.window_left + 1 + p.window_right;
}
// Slots of a tile: 64, fewer in the last one, none before the first and behind the last.
inline int64_t slots_in(const BandProblem& p, int64_t tile) {
  return tile < 0 ? 0 : smaller(kBlock, slots_of(p) - tile * kBlock);
}

// Adds the bias of a head to the rows of its queries.
template <class V>
inline void add_bias(typename V::S* rows, const BandProblem& p, const void* bias, int64_t head,
                     int64_t count) {
  using S = typename V::S;
  const S* b = static_cast<const S*>(bias) + head * p.padded_dim;
  for (int64_t i = 0; i < count; ++i) {
    S* row = rows + i * p.padded_dim;
    for (int64_t d = 0; d < p.padded_dim; d += V::lanes)
      V::store(row + d, V::add(V::load(row + d), V::load(b + d)));
  }
}

// Where a tile of slots keeps the products of the positions' bias: behind the pairs of its columns.
inline int64_t slot_biases(const BandProblem& p) {
  return p.padded_dim / 2 * kBlock;
}

// One tile of slots of a head to [slot][padded_dim] and, transposed, to [padded_dim][64]. Slots that the
// table has no row for are further away than any key.
template <class V>
void prepare_relative(const BandProblem& p, int64_t head, int64_t tile, void* scratch) {
  using S = typename V::S;
  const int64_t ld = p.padded_dim, place = (head * p.relative_tiles + tile) * kBlock * ld;
  S* rows = p.relative_rows != nullptr ? static_cast<S*>(p.relative_rows) + place : static_cast<S*>(scratch);
  for (int64_t c = 0; c < kBlock; ++c) {
    const int64_t slot = tile * kBlock + c, row = p.relative_zero + (p.window_left - slot) * p.dilation[head];
    if (slot >= slots_of(p) || row < 0 || row >= p.relative_count)
      std::memset(rows + c * ld, 0, size_t(ld) * sizeof(S));
    else
      read_row<V>(rows + c * ld, row_address(p.relative, p.element, row, head), p.element, p.dim);
  }
  S* columns = static_cast<S*>(p.relative_columns) + place;
  transpose<V>(columns, kBlock, rows, ld, kBlock, p.dim, S(1));
  if constexpr (Cells<V>::width == 2) {
    pair_rows<V>(columns, columns, kBlock, p.dim, kBlock);
    multiply_bias<V>(columns + slot_biases(p), p, p.position_bias, head, rows, kBlock);
  }
}

// A head's row of a bias to the compute type.
template <class V>
void prepare_bias(const BandProblem& p, const Rows& bias, int64_t head, void* to) {
  using S = typename V::S;
  S* row = static_cast<S*>(to) + head * p.padded_dim;
  std::memset(row, 0, size_t(p.padded_dim) * sizeof(S));
  read_row<V>(row, row_address(bias, p.element, 0, head), p.element, p.dim);
}

// The scores that distances add, for the queries of one block after the other.
template <class V>
class RelativeScores {
 public:
  using S = typename V::S;
  // The memory holds relative_forward_scratch elements.
  RelativeScores(const BandProblem& p, const BandUnit& u, S* memory)
      : p_(p), u_(u), queries_(memory), cells_(memory + kBlock * p.padded_dim) {
    band_ = cells_ + kBlock * p.padded_dim;
  }

  bool active() const { return p_.relative_columns != nullptr; }
  // The block's queries with the bias of positions, [query][padded_dim], as `begin` leaves them.
  const S* queries() const { return queries_; }

  // Takes the block's queries, 64 rows of which those behind the last are zero.
  void begin(const S* q_rows, int64_t queries, S sign) {
    const int64_t ld = p_.padded_dim;
    for (int64_t i = 0; i < kBlock * ld; i += V::lanes) {
      V::store(queries_ + i, V::load(q_rows + i));
      if constexpr (Cells<V>::width == 2)
        Cells<V>::store(cells_ + i / 2, V::mul(V::set1(sign), V::load(q_rows + i)));
    }
    sign_ = sign;
    add_bias<V>(queries_, p_, p_.position_bias, u_.head, queries);
    if (sign != 1)
      for (int64_t i = 0; i < kBlock * ld; i += V::lanes)
        V::store(queries_ + i, V::mul(V::set1(sign), V::load(queries_ + i)));
    held_ = -2;
  }

  // Writes scores [key][query], to which the products of the keys are added.
  void write(const Block& b, const Tile<S>& t, S* scores, Ahead& ahead) {
    const int64_t from_left = t.first - b.first_query + b.left, tile = from_left / kBlock;
    hold(b, tile, ahead);
    transpose<V>(scores, kBlock, band_ + kBlock + from_left % kBlock, kBandRow - 1, b.queries, t.rows, S(1));
    if constexpr (Cells<V>::width == 2)
      for (int row = 0; row < t.rows; ++row) {
        const typename V::T bias = V::set1(sign_ * t.biases[row]);
        for (int64_t at = row * kBlock; at < row * kBlock + b.vectors * V::lanes; at += V::lanes)
          V::store(scores + at, V::add(V::load(scores + at), bias));
      }
  }

 private:
  // Brings tiles `tile - 1` and `tile` of slots into the band.
  void hold(const Block& b, int64_t tile, Ahead& ahead) {
    if (held_ == tile) return;
    if (held_ == tile - 1) {
      for (int64_t i = 0; i < kBlock; ++i)
        for (int64_t c = 0; c < kBlock; c += V::lanes)
          V::store(band_ + i * kBandRow + c, V::load(band_ + i * kBandRow + kBlock + c));
    } else {
      multiply(b, tile - 1, band_, ahead);
    }
    multiply(b, tile, band_ + kBlock, ahead);
    held_ = tile;
  }
  void multiply(const Block& b, int64_t tile, S* to, Ahead& ahead) {
    const int64_t slots = slots_in(p_, tile);
    if (slots <= 0) return;
    const S* columns = static_cast<const S*>(p_.relative_columns) +
                       (u_.head * p_.relative_tiles + tile) * kBlock * p_.padded_dim;
    const int64_t rows = b.vectors * V::lanes, vectors = (slots + V::lanes - 1) / V::lanes;
    if constexpr (Cells<V>::width == 1) {
      gemm<V, false>(to, kBandRow, queries_, p_.padded_dim, columns, kBlock, rows, vectors, p_.dim,
                     Start::zero, ahead);
    } else {
      const S* biases = columns + slot_biases(p_);
      for (int64_t at = 0; at < vectors * V::lanes; at += V::lanes)
        for (int64_t i = 0; i < rows; ++i)
          V::store(to + i * kBandRow + at, V::mul(V::set1(sign_), V::load(biases + at)));
      gemm<ProductOf<V>, false>(to, kBandRow, cells_, p_.padded_dim / 2, columns, kBlock, rows, vectors,
                                cells_of<V>(p_.dim), Start::keep, ahead);
    }
  }

  const BandProblem& p_;
  const BandUnit& u_;
  S *queries_, *cells_, *band_;
  S sign_ = 1;
  int64_t held_ = -2;  // the tile in the right half of the band; -2: none
};

// Collects the gradients of the scores by slots, and multiplies each tile of slots once, when no further key
// can add to it.
template <class V>
class RelativeGradients {
 public:
  using S = typename V::S;
  // The memory holds relative_backward_scratch elements, behind those of the scores.
  RelativeGradients(const BandProblem& p, const BandUnit& u, const RelativeScores<V>& scores, S* memory)
      : p_(p), u_(u), scores_(scores) {
    grad_queries_ = memory;
    band_ = grad_queries_ + kBlock * p.padded_dim;
    sums_ = band_ + kBlock * kBandRow + kBlock;
    grad_rows_ = sums_ + 2 * p.padded_dim;
    if (scores.active())
      std::memset(sums_, 0, size_t((2 + u.relative_count * kBlock) * p.padded_dim) * sizeof(S));
  }

  void begin() {
    std::memset(grad_queries_, 0, size_t(kBlock * p_.padded_dim) * sizeof(S));
    std::memset(band_, 0, size_t(kBlock * kBandRow + kBlock) * sizeof(S));
    held_ = -2;
  }

  // Takes the gradients of a tile's scores, [key][query]. Cells outside the tile's parts become zero.
  void add(const Block& b, const Tile<S>& t, S* grads, Ahead& ahead) {
    const int64_t from_left = t.first - b.first_query + b.left;
    hold(b, from_left / kBlock, ahead);
    clear_outside(b, t, grads);
    transpose<V>(band_ + kBlock + from_left % kBlock, kBandRow - 1, grads, kBlock, t.rows, b.queries, S(1));
  }

  // Completes the block: adds the gradient of its queries to the rows [query][padded_dim] of that of the
  // content, and both to the sums that are the gradients of the biases.
  void end(const Block& b, S* grad_q, Ahead& ahead) {
    if (held_ > -2) {
      multiply(b, held_ - 1, band_, ahead);
      multiply(b, held_, band_ + kBlock, ahead);
    }
    const int64_t ld = p_.padded_dim;
    for (int64_t i = 0; i < b.queries; ++i) {
      S *row = grad_q + i * ld, *more = grad_queries_ + i * ld;
      for (int64_t d = 0; d < p_.dim; d += V::lanes) {
        const typename V::T content = V::load(row + d), position = V::load(more + d);
        V::store(sums_ + d, V::add(V::load(sums_ + d), content));
        V::store(sums_ + ld + d, V::add(V::load(sums_ + ld + d), position));
        V::store(row + d, V::add(content, position));
      }
    }
  }

  // The unit's sums: of the two biases, then of its tiles of slots.
  void store() {
    std::memcpy(u_.shared_relative, sums_,
                size_t((2 + u_.relative_count * kBlock) * p_.padded_dim) * sizeof(S));
  }

 private:
  void hold(const Block& b, int64_t tile, Ahead& ahead) {
    if (held_ == tile) return;
    if (held_ > -2) multiply(b, held_ - 1, band_, ahead);
    if (held_ == tile - 1) {
      for (int64_t i = 0; i < kBlock; ++i)
        for (int64_t c = 0; c < kBlock; c += V::lanes) {
          V::store(band_ + i * kBandRow + c, V::load(band_ + i * kBandRow + kBlock + c));
          V::store(band_ + i * kBandRow + kBlock + c, V::zero());
        }
    } else if (held_ > -2) {
      multiply(b, held_, band_ + kBlock, ahead);
      std::memset(band_, 0, size_t(kBlock * kBandRow) * sizeof(S));
    }
    held_ = tile;
  }
  void multiply(const Block& b, int64_t tile, S* gradients, Ahead& ahead) {
    const int64_t slots = slots_in(p_, tile), ld = p_.padded_dim,
                  dim_vectors = (p_.dim + V::lanes - 1) / V::lanes;
    if (slots <= 0 || tile < u_.relative_begin || tile >= u_.relative_begin + u_.relative_count) return;
    const S* rows =
        static_cast<const S*>(p_.relative_rows) + (u_.head * p_.relative_tiles + tile) * kBlock * ld;
    gemm<V, false>(grad_queries_, ld, gradients, kBandRow, rows, ld, b.queries, dim_vectors, slots,
                   Start::keep, ahead);
    gemm<V, true>(grad_rows_ + (tile - u_.relative_begin) * kBlock * ld, ld, gradients, kBandRow,
                  scores_.queries(), ld, slots, dim_vectors, b.queries, Start::keep, ahead);
  }
  static void clear_outside(const Block& b, const Tile<S>& t, S* grads) {
    for (int i = 0; i < t.parts; ++i) {
      const Part& part = t.part[i];
      for (int row = part.row_begin; row < part.row_end; ++row) {
        S* g = grads + row * kBlock;
        for (int v = 0; v < part.vector_begin; ++v) V::store(g + v * V::lanes, V::zero());
        for (int v = larger(0, part.vector_end); v < b.vectors; ++v) V::store(g + v * V::lanes, V::zero());
      }
    }
    const int64_t whole = (t.rows + V::lanes - 1) / V::lanes * V::lanes;
    std::memset(grads + t.rows * kBlock, 0, size_t((whole - t.rows) * kBlock) * sizeof(S));
  }

  const BandProblem& p_;
  const BandUnit& u_;
  const RelativeScores<V>& scores_;
  S *grad_queries_, *band_, *sums_, *grad_rows_;
  int64_t held_ = -2;
};

// Adds what the units of a head found for slots [first, last), and writes the rows of the table.
template <class V>
void merge_relative(const BandBackwardProblem& p, const longformer::cpu::BandMerge& merge, int64_t head,
                    int64_t first, int64_t last, void* scratch) {
  using S = typename V::S;
  const int64_t ld = p.padded_dim;
  S* sum = static_cast<S*>(scratch);
  for (int64_t slot = first; slot < last; ++slot) {
    const int64_t row = p.relative_zero + (p.window_left - slot) * p.dilation[head];
    if (row < 0 || row >= p.relative_count) continue;
    std::memset(sum, 0, size_t(ld) * sizeof(S));
    for (int64_t i = 0; i < merge.count; ++i) {
      const BandUnit& u = merge.units[i];
      const int64_t in_unit = slot - u.relative_begin * kBlock;
      if (u.head != head || in_unit < 0 || in_unit >= u.relative_count * kBlock) continue;
      const S* shared = static_cast<const S*>(u.shared_relative) + (2 + in_unit) * ld;
      for (int64_t d = 0; d < p.dim; d += V::lanes)
        V::store(sum + d, V::add(V::load(sum + d), V::load(shared + d)));
    }
    // The queries of the product had the sign of the scale.
    write_row<V>(output_row(p.grad_relative, p, row, head), sum, p.element, p.dim,
                 S(p.scale < 0 ? -p.scale : p.scale));
  }
}

template <class V>
void merge_biases(const BandBackwardProblem& p, const longformer::cpu::BandMerge& merge, int64_t head,
                  void* scratch) {
  using S = typename V::S;
  const int64_t ld = p.padded_dim;
  S* sum = static_cast<S*>(scratch);
  void* const to[] = {p.grad_content_bias, p.grad_position_bias};
  for (int64_t which = 0; which < 2; ++which) {
    std::memset(sum, 0, size_t(ld) * sizeof(S));
    for (int64_t i = 0; i < merge.count; ++i) {
      if (merge.units[i].head != head) continue;
      const S* shared = static_cast<const S*>(merge.units[i].shared_relative) + which * ld;
      for (int64_t d = 0; d < p.dim; d += V::lanes)
        V::store(sum + d, V::add(V::load(sum + d), V::load(shared + d)));
    }
    write_row<V>(output_row(to[which], p, 0, head), sum, p.element, p.dim, S(p.scale));
  }
}

}  // namespace
