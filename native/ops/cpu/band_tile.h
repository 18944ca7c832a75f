// Shared by forward and backward: tiles of 64 keys are read, and cut into the parts that the band of 64
// queries touches; masks and dropout.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "band_cells.h"
#include "band_gemm.h"
#include "band_problem.h"
#include "band_rows.h"

namespace {

using longformer::cpu::BandUnit;

// --- Biases

// Products of pairs take queries without biases, which are bfloat16, and add the biases' own products with
// the rows of keys and slots.
template <class V>
inline void multiply_bias(typename V::S* to, const BandProblem& p, const void* bias, int64_t head,
                          const typename V::S* rows, int64_t count) {
  const typename V::S* b = static_cast<const typename V::S*>(bias) + head * p.padded_dim;
  for (int64_t i = 0; i < count; ++i) {
    typename V::T sum = V::zero();
    for (int64_t d = 0; d < p.padded_dim; d += V::lanes)
      sum = V::fma(V::load(b + d), V::load(rows + i * p.padded_dim + d), sum);
    to[i] = V::sum(sum);
  }
}
// C = (zero | C | C * alpha) + A . B, where A [dim][cells] are a tile's values, or a backward pass's keys,
// from the cell `first_cell` on, as TileCache makes them.
template <class V>
inline void gemm_across(typename V::S* c, const BandProblem& p, const typename V::S* across,
                        int64_t first_cell, const typename V::S* b, ptrdiff_t vectors, ptrdiff_t cells,
                        Start start, Ahead& ahead, const typename V::S* alpha = nullptr) {
  const ptrdiff_t ld = p.padded_dim;
  if constexpr (by_tiles<V>)
    gemm<ProductOf<V>, false>(c, kBlock, across + first_cell, kBlock / 2, b, kBlock, p.dim, vectors, cells,
                              start, ahead, alpha);
  else
    gemm<ProductOf<V>, true>(c, kBlock, across + first_cell * ld, ld, b, kBlock, p.dim, vectors, cells, start,
                             ahead, alpha);
}

// --- The band in a tile

// Keys [row_begin, row_end) of a tile against the vectors [vector_begin, vector_end) of the block's queries.
struct Part {
  int row_begin, row_end, vector_begin, vector_end;
};

// A tile of the local keys or of the gathered global keys, cut into parts. Local tiles begin at 0 and at the
// multiples of 64 that are shifted so that the first query of a block has its leftmost key at the beginning
// of a tile.
template <class S>
struct Tile {
  Tokens tokens;
  int64_t first = 0;  // class coordinate of the first local key; index of the first global key
  int rows = 0;
  bool global = false;
  bool edge = false;  // some key of it is outside some query's window
  uint64_t skip = 0;  // keys that do not count: not visible, or counted among the global keys
  // [row][padded_dim]; those that do not count are zero. Of products of pairs: keys, and a backward pass's
  // values, have neighbouring elements in a cell, paired_keys, and a forward pass's values, the same element
  // of neighbouring rows (band_cells.h).
  const S *keys = nullptr, *values = nullptr, *paired_keys = nullptr;
  const S* biases =
      nullptr;  // pairs with relative positions: the products of the keys and the content's bias
  int parts = 0;
  Part part[4];
};

// The tiles that a thread holds while it walks over a unit.
template <class V>
class TileCache {
 public:
  using S = typename V::S;
  // `rows`: room for a tile of rows, while one is read.
  TileCache(const BandProblem& p, const BandUnit& u, bool backward, S* memory, S* rows)
      : p_(p), u_(u), backward_(backward), memory_(memory), rows_(rows) {
    for (int64_t i = 0; i <= p.cached_tiles; ++i) tag_[i] = -1;
  }

  // Tile `number`, whose `rows` tokens are given; local and global numbers must not be the same.
  void read(int64_t number, const Tokens& tokens, int64_t rows, const uint8_t* usable, bool first_global,
            Tile<S>& t) {
    const int64_t slot = first_global ? p_.cached_tiles : number % p_.cached_tiles;
    // Keys and values; keys, values and paired keys of half the size.
    constexpr int64_t width = Cells<V>::width, sets = width + 1;
    const int64_t size = kBlock * p_.padded_dim / width;
    S *keys = memory_ + slot * (sets * size + (width - 1) * kBlock), *values = keys + size,
      *paired_keys = values + size, *biases = keys + sets * size;
    if (tag_[slot] != number) {
      tag_[slot] = number;
      skip_[slot] = unusable(usable, tokens, rows);
      if (!all_set(skip_[slot], rows)) {
        if constexpr (width == 1) {
          read_rows<V>(keys, p_, p_.k, u_.head, tokens, rows, skip_[slot]);
          read_rows<V>(values, p_, p_.v, u_.head, tokens, rows, skip_[slot]);
        } else {
          const int64_t ld = p_.padded_dim;
          read_rows<V>(rows_, p_, p_.k, u_.head, tokens, rows, skip_[slot]);
          narrow_rows<V>(keys, rows_, ld, rows);
          if (backward_) across(paired_keys, rows);
          if (p_.content_bias != nullptr) multiply_bias<V>(biases, p_, p_.content_bias, u_.head, rows_, rows);
          read_rows<V>(rows_, p_, p_.v, u_.head, tokens, rows, skip_[slot]);
          if (backward_)
            narrow_rows<V>(values, rows_, ld, rows);
          else
            across(values, rows);
        }
      }
    }
    t.skip = skip_[slot];
    t.keys = keys;
    t.values = values;
    t.paired_keys = width == 1 ? keys : paired_keys;
    t.biases = biases;
  }

 private:
  // Pairs of the rows that were read: [pair][dim] or, for tiles, [dim][32 pairs], zeros behind the last.
  void across(S* to, int64_t rows) {
    const int64_t ld = p_.padded_dim;
    if constexpr (by_tiles<V>) {
      std::memset(rows_ + rows * ld, 0, size_t((kBlock - rows) * ld) * sizeof(S));
      pair_rows<V>(rows_, rows_, ld, kBlock, ld);
      Cells<V>::transpose(to, kBlock / 2, rows_, ld, kBlock / 2, ld);
    } else {
      pair_rows<V>(to, rows_, ld, rows, ld);
    }
  }

  const BandProblem& p_;
  const BandUnit& u_;
  const bool backward_;
  S *memory_, *rows_;
  int64_t tag_[longformer::cpu::kMostCachedTiles + 1];
  uint64_t skip_[longformer::cpu::kMostCachedTiles + 1];
};

// The queries of one block, and the walk over its tiles: the band from left to right, then the global keys.
struct Block {
  int64_t sequence_begin, first_query, queries, length, left, right, residue, dilation;
  int vectors;
  Tokens tokens;
  int64_t key_begin, key_end, globals_begin, globals_end;
};

template <class V>
inline Block make_block(const BandProblem& p, const BandUnit& u, int64_t index) {
  Block b;
  b.sequence_begin = p.offsets[u.sequence];
  b.first_query = index * kBlock;
  b.queries = smaller(kBlock, u.length - b.first_query);
  b.length = u.length;
  b.left = p.window_left;
  b.right = p.window_right;
  b.residue = u.residue;
  b.dilation = u.dilation;
  b.vectors = int((b.queries + V::lanes - 1) / V::lanes);
  b.tokens = {b.sequence_begin + b.residue + b.first_query * b.dilation, b.dilation, nullptr};
  b.key_begin = larger(0, b.first_query - b.left);
  b.key_end = smaller(b.length, b.first_query + b.queries + b.right);
  if (p.only_global) b.key_begin = b.key_end = 0;
  b.globals_begin = p.global_start == nullptr ? 0 : p.global_start[u.sequence];
  b.globals_end = p.global_start == nullptr ? 0 : p.global_start[u.sequence + 1];
  return b;
}

// Lanes of the block that key `row` of a local tile is visible to: a range, empty where last < first.
struct Range {
  int first, last;
};
template <class S>
inline Range lanes_of(const Block& b, const Tile<S>& t, int row) {
  const int64_t key = t.first + row - b.first_query;
  return {int(larger(0, key - b.right)), int(smaller(b.queries - 1, key + b.left))};
}

// The parts of an edge tile: sixteen keys at a time against the vectors that at least one of them is visible
// to.
template <class V>
inline void cut(const Block& b, Tile<typename V::S>& t) {
  t.edge = !t.global && (lanes_of(b, t, t.rows - 1).first > 0 || lanes_of(b, t, 0).last < b.queries - 1);
  t.parts = 0;
  if (!t.edge) {
    t.part[t.parts++] = {0, t.rows, 0, b.vectors};
    return;
  }
  for (int row = 0; row < t.rows; row += 16) {
    const int end = int(smaller(row + 16, t.rows));
    const int begin_vector = lanes_of(b, t, row).first / V::lanes;
    const int end_vector = lanes_of(b, t, end - 1).last / V::lanes + 1;
    Part* before = t.parts > 0 ? &t.part[t.parts - 1] : nullptr;
    if (before != nullptr && before->vector_begin == begin_vector && before->vector_end == end_vector) {
      before->row_end = end;
    } else {
      t.part[t.parts++] = {row, end, begin_vector, end_vector};
    }
  }
}

// The keys of a tile that one vector of queries has something to do with: none, where its parts leave it out.
struct Strip {
  int row_begin, row_end;
  bool operator==(const Strip& other) const {
    return row_begin == other.row_begin && row_end == other.row_end;
  }
};
template <class S>
inline Strip strip_of(const Tile<S>& t, int vector) {
  Strip strip = {0, 0};
  for (int i = 0; i < t.parts; ++i) {
    const Part& part = t.part[i];
    if (vector < part.vector_begin || vector >= part.vector_end) continue;
    if (strip.row_begin == strip.row_end) strip.row_begin = part.row_begin;
    strip.row_end = part.row_end;
  }
  return strip;
}

// Fills `t` with the next tile that holds a usable key; false at the end. Start with position =
// block.key_begin.
template <class V>
inline bool next_tile(const BandProblem& p, const Block& b, TileCache<V>& cache, int64_t& position,
                      Tile<typename V::S>& t) {
  const int64_t shift = (kBlock - b.left % kBlock) % kBlock;
  while (position < b.key_end) {
    const int64_t number = (position - shift + kBlock) / kBlock,
                  whole_end = smaller(b.length, shift + number * kBlock);
    t.first = position;
    t.rows = int(smaller(whole_end, b.key_end) - position);
    t.tokens = {b.sequence_begin + b.residue + position * b.dilation, b.dilation, nullptr};
    t.global = false;
    cache.read(number, t.tokens, whole_end - position, p.local_key, false, t);
    position += t.rows;
    if (all_set(t.skip, t.rows)) continue;
    cut<V>(b, t);
    return true;
  }
  const int64_t index = position - b.key_end, globals = b.globals_end - b.globals_begin;
  if (index >= globals) return false;
  t.first = index;
  t.rows = int(smaller(kBlock, globals - index));
  t.tokens = {0, 0, p.global_token + b.globals_begin + index};
  t.global = true;
  // Numbers behind those of the local tiles.
  cache.read(b.length / kBlock + 2 + index / kBlock, t.tokens, t.rows, nullptr, index == 0, t);
  position += t.rows;
  cut<V>(b, t);
  return true;
}

// Gives `ahead` the rows of tokens [first, first + count) of the class, up to its end.
inline void add_rows(Ahead& ahead, const BandProblem& p, const Rows& rows, const BandUnit& u, const Block& b,
                     int64_t first, int64_t count) {
  count = smaller(count, b.length - first);
  if (count <= 0) return;
  ahead.add(row_address(rows, p.element, b.sequence_begin + b.residue + first * b.dilation, u.head),
            b.dilation * rows.token_stride * element_size(p.element), p.dim * element_size(p.element),
            int(count));
}

// Gives `ahead` the next tile of global keys, where these are neighbours.
inline void add_globals(Ahead& ahead, const BandProblem& p, const BandUnit& u, const Block& b,
                        int64_t index) {
  const int64_t count = smaller(kBlock, b.globals_end - b.globals_begin - index);
  if (count <= 0) return;
  const int64_t* token = p.global_token + b.globals_begin + index;
  if (token[count - 1] - token[0] != count - 1) return;
  const Rows* const both[] = {&p.v, &p.k};
  for (const Rows* rows : both)
    ahead.add(row_address(*rows, p.element, token[0], u.head), rows->token_stride * element_size(p.element),
              p.dim * element_size(p.element), int(count));
}

// How often a product of a whole tile, over so many elements, asks for a line.
template <class V>
constexpr int64_t askings_of(int64_t elements) {
  if constexpr (by_tiles<V>) return Products<ProductOf<V>>::askings(cells_of<V>(elements));
  return 11 * cells_of<V>(elements) / kRowsPerAsking;  // about eleven register blocks
}

// The lines to prefetch while a tile is multiplied. In a unit's first block every tile is new: the next one.
// Afterwards only the next block's queries and last tile are. `products`: of a tile.
template <class V>
inline void look_ahead(Ahead& ahead, const BandProblem& p, const BandUnit& u, const Block& b,
                       bool first_block, int64_t position, bool first_tile, int products,
                       const Rows* const* queries, int query_sets) {
  if (p.only_global) {
    ahead.clear();
    if (first_block) add_globals(ahead, p, u, b, position);
    return ahead.start(products * askings_of<V>(p.dim));
  }
  const bool next_tile = first_block && position < b.key_end;
  if (!next_tile && !first_tile && !(first_block && position == b.key_end)) return;
  const int64_t askings = products * askings_of<V>(p.dim);
  ahead.clear();
  if (next_tile) {
    add_rows(ahead, p, p.v, u, b, position, kBlock);
    add_rows(ahead, p, p.k, u, b, position, kBlock);
    ahead.start(askings);
    return;
  }
  const int64_t next = b.first_query + kBlock;
  if (next >= (u.first_block + u.blocks) * kBlock) return ahead.start(0);
  add_rows(ahead, p, p.v, u, b, b.key_end, kBlock);
  add_rows(ahead, p, p.k, u, b, b.key_end, kBlock);
  for (int i = 0; i < query_sets; ++i) add_rows(ahead, p, *queries[i], u, b, next, kBlock);
  // The two edges count little more than one tile; those of the first block are behind it.
  const int64_t keys = first_block ? kBlock : larger(kBlock, b.key_end - b.key_begin - kBlock);
  ahead.start(askings * keys / kBlock);
}

// Scores that do not count become -inf: keys outside the window of a query, and unusable keys.
template <class V>
inline void mask_scores(const Block& b, const Tile<typename V::S>& t, typename V::S* scores) {
  constexpr typename V::S nothing = -__builtin_inff();
  if (!t.edge && t.skip == 0) return;
  for (int i = 0; i < t.parts; ++i) {
    const Part& part = t.part[i];
    for (int row = part.row_begin; row < part.row_end; ++row) {
      typename V::S* s = scores + row * kBlock;
      if (t.skip >> row & 1u) {
        for (int v = part.vector_begin; v < part.vector_end; ++v)
          V::store(s + v * V::lanes, V::set1(nothing));
      } else if (t.edge) {
        const Range lanes = lanes_of(b, t, row);
        const auto mask = [&](int v) {
          const int at = v * V::lanes;
          V::store(s + at, V::range(V::load(s + at), lanes.first - at, lanes.last - at, nothing));
        };
        // Vectors at both ends: those between are inside the window.
        int begin = part.vector_begin, end = part.vector_end;
        while (begin < end && begin * V::lanes < lanes.first) mask(begin++);
        while (begin < end && (end - 1) * V::lanes + V::lanes - 1 > lanes.last) mask(--end);
      }
    }
  }
}

// --- Dropout

// dropout_keeps of banded_attention.h for one key and the block's queries: 1/(1-p) where kept, otherwise 0.
// (x >> 11) * 2^-53 >= p is the same as x >> 11 >= ceil(p * 2^53), which is what drop_below holds.
template <class V>
inline void dropout_factors(typename V::S* to, const BandProblem& p, int64_t head, const Block& b,
                            int64_t key_token) {
  const uint64_t base = p.seed + 0x9E3779B97F4A7C15ull * uint64_t(head + 1) +
                        0x94D049BB133111EBull * uint64_t(key_token + 1) +
                        0xBF58476D1CE4E5B9ull * uint64_t(b.tokens.first + 1);
  const uint64_t step = 0xBF58476D1CE4E5B9ull * uint64_t(b.tokens.step);
  const typename V::S kept = typename V::S(p.keep_scale);
  for (int i = 0; i < kBlock; ++i) {
    uint64_t x = base + step * uint64_t(i);
    x ^= x >> 30;
    x *= 0xBF58476D1CE4E5B9ull;
    x ^= x >> 27;
    x *= 0x94D049BB133111EBull;
    x ^= x >> 31;
    to[i] = x >> 11 >= p.drop_below ? kept : typename V::S(0);
  }
}

// The queries take the sign of the scale, so that the largest score is the largest product (and 0 *
// -inf, were the scale zero, does not turn a mask into NaN).
struct ScaleParts {
  double sign, magnitude_log2;  // scores in units of log2: sign * (q.k) * magnitude_log2
};
inline ScaleParts split_scale(double scale) {
  constexpr double log2e = 1.4426950408889634074;
  if (scale == 0) return {0.0, 1.0};
  return {scale < 0 ? -1.0 : 1.0, (scale < 0 ? -scale : scale) * log2e};
}

}  // namespace
