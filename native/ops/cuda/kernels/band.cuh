// Which tokens a block works on, which keys its queries see, and which probabilities are dropped.
#pragma once
#include "tile.cuh"

namespace longformer::cuda {

struct Place {
  int sequence, head;
  int begin, step, length;  // coordinate a of the class, 0 <= a < length, is token begin + a * step
  int first;                // the block's first coordinate

  LONGFORMER_DEVICE int token(int a) const { return begin + a * step; }
  // The token of a row of the block, -1 behind the last one.
  LONGFORMER_DEVICE int token_of_row(int row) const { return first + row < length ? token(first + row) : -1; }
};

LONGFORMER_DEVICE void find_sequence(int sequence, const int* offsets, int equal, int& begin, int& length) {
  begin = offsets == nullptr ? sequence * equal : load(offsets + sequence);
  length = offsets == nullptr ? equal : load(offsets + sequence + 1) - begin;
}

// The residue class and the rows of a block of rows; false where there are none left for it.
template <int rows>
LONGFORMER_DEVICE bool find_place(const BandedParameters& p, Place& at, int block) {
  at.sequence = block / p.tiles;
  at.head = block_y();
  const int tile = block % p.tiles;
  int begin, length;
  find_sequence(at.sequence, p.offsets, p.length, begin, length);
  at.step = p.dilations == nullptr ? p.dilation : load(p.dilations + at.head);
  const int tiles_of_class = larger_of((length + at.step * rows - 1) / (at.step * rows), 1);
  const int residue = tile / tiles_of_class;
  if (residue >= at.step || residue >= length) return false;
  at.begin = begin + residue;
  at.length = (length - residue + at.step - 1) / at.step;
  at.first = tile % tiles_of_class * rows;
  return at.first < at.length;
}

// The dropout's mixer, as in banded_attention.h: sums of products are shared by a row or a column.
struct Dropout {
  u64 base, drop_below;
  float keep_scale;

  LONGFORMER_DEVICE void init(const BandedParameters& p, int head) {
    base = p.seed + 0x9E3779B97F4A7C15ull * static_cast<u64>(head + 1);
    drop_below = p.drop_below;
    keep_scale = p.keep_scale;
  }
  LONGFORMER_DEVICE static u64 of_query(int token) {
    return 0xBF58476D1CE4E5B9ull * (static_cast<u64>(token) + 1);
  }
  LONGFORMER_DEVICE static u64 of_key(int token) {
    return 0x94D049BB133111EBull * (static_cast<u64>(token) + 1);
  }
  // 0, or 1 / (1 - p)
  LONGFORMER_DEVICE float factor(u64 query, u64 key) const {
    u64 x = base + query + key;
    x ^= x >> 30;
    x *= 0xBF58476D1CE4E5B9ull;
    x ^= x >> 27;
    x *= 0x94D049BB133111EBull;
    x ^= x >> 31;
    return (x >> 11) >= drop_below ? keep_scale : 0.0f;
  }
};

// Columns of a tile that may be seen at all, bit by bit: of local keys those that are visible and not global.
struct Columns {
  u32 bits[2];
  LONGFORMER_DEVICE bool has(int column) const { return bits[column >> 5] >> (column & 31) & 1; }
  LONGFORMER_DEVICE bool all(int count) const {
    return count == 64   ? (bits[0] & bits[1]) == 0xFFFFFFFFu
           : count == 32 ? bits[0] == 0xFFFFFFFFu
                         : (bits[0] | 0xFFFF0000u) == 0xFFFFFFFFu;
  }
};

LONGFORMER_DEVICE Columns first_columns(int count) {
  const auto low = [](int n) { return n <= 0 ? 0u : n >= 32 ? 0xFFFFFFFFu : (1u << n) - 1u; };
  return {{low(count), low(count - 32)}};
}

template <class C>
LONGFORMER_DEVICE Columns local_columns(const BandedParameters& p, const Place& at, int first, int end) {
  if (!C::flags) return first_columns(end - first);
  const int a = first + lane_index();
  return {{ballot(a < end && load(p.flags + at.token(a)) == 1),
           C::tile > 32 ? ballot(a + 32 < end && load(p.flags + at.token(a + 32)) == 1) : 0u}};
}

template <class C>
LONGFORMER_DEVICE bool is_visible(const BandedParameters& p, int token) {
  return !C::flags || (load(p.flags + token) & 1) != 0;
}

// The token of row a of the class, -1 behind `end` and where it is masked.
template <class C>
LONGFORMER_DEVICE int visible_token(const BandedParameters& p, const Place& at, int a, int end) {
  const int token = at.token(a);
  return a < end && is_visible<C>(p, token) ? token : -1;
}

// The keys that the queries first .. end see: the sequence's global keys, then a range of the class, in
// tiles.
template <class C>
struct KeyTiles {
  int globals, global_tiles, low, high, tiles;

  LONGFORMER_DEVICE void init(const BandedParameters& p, const Place& at) {
    const int end = smaller_of(at.first + C::rows, at.length);
    low = larger_of(at.first - p.window_left, 0);
    high = smaller_of(end + p.window_right, at.length);
    globals = C::flags && p.globals > 0 ? load(p.global_count + at.sequence) : 0;
    global_tiles = (globals + C::global_tile - 1) / C::global_tile;
    tiles = global_tiles + (high - low + C::tile - 1) / C::tile;
  }
  LONGFORMER_DEVICE int first_local(int tile) const { return low + (tile - global_tiles) * C::tile; }

  // Keys and values of a tile into a stage.
  LONGFORMER_DEVICE void copy(const BandedParameters& p, const Place& at, int tile, u32 keys,
                              u32 values) const {
    if (C::flags && tile < global_tiles) {
      const int* tokens = p.global_token + static_cast<long long>(at.sequence) * p.globals;
      const int first = tile * C::global_tile, end = globals;
      copy_rows<C, C::global_tile>(keys, p.k, values, p.v, at.head, p.dim, [=](int row) {
        return first + row < end ? load(tokens + first + row) : -1;
      });
    } else {
      const int first = first_local(tile), end = high;
      copy_rows<C, C::tile>(keys, p.k, values, p.v, at.head, p.dim,
                            [&](int row) { return visible_token<C>(p, at, first + row, end); });
    }
  }
  // Begins to copy a tile, if there is one, into its stage of those at `stages`.
  LONGFORMER_DEVICE void prefetch(const BandedParameters& p, const Place& at, int tile, u32 stages) const {
    constexpr u32 tile_bytes = C::tile * C::row_bytes;
    const u32 stage = stages + static_cast<u32>(tile % C::stages) * (2 * tile_bytes);
    if (tile < tiles) copy(p, at, tile, stage, stage + tile_bytes);
    copy_commit();
  }
  // The token of a key of a tile (for dropout).
  LONGFORMER_DEVICE int token(const BandedParameters& p, const Place& at, int tile, int column) const {
    if (tile >= global_tiles) return at.token(first_local(tile) + column);
    const int g = tile * C::global_tile + column;
    return g < globals ? load(p.global_token + static_cast<long long>(at.sequence) * p.globals + g) : 0;
  }
};

// Whether rows row .. row + rows of the class see anything of the keys first .. first + count, or all of
// every one.
LONGFORMER_DEVICE bool band_touches(const BandedParameters& p, int row, int rows, int first, int count) {
  return first <= row + rows - 1 + p.window_right && first + count - 1 >= row - p.window_left;
}
LONGFORMER_DEVICE bool band_covers(const BandedParameters& p, int row, int rows, int first, int count) {
  return first >= row + rows - 1 - p.window_left && first + count - 1 <= row + p.window_right;
}
LONGFORMER_DEVICE bool in_band(const BandedParameters& p, int query, int key) {
  return static_cast<u32>(key - query + p.window_left) <= static_cast<u32>(p.window_left + p.window_right);
}

}  // namespace longformer::cuda
