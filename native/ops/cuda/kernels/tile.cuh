// The parts of the attention kernels: rows brought into shared memory, and the two matrix products of a
// tile.
//
// A tile is [rows][padded dim] in shared memory. Its 16-byte chunks are permuted within each row (swizzled),
// so that eight rows of one column are in different banks. A product's result is held as the tensor cores
// leave it: a lane has of each 16x8 piece c[0], c[1] in row lane / 4, columns 2 * (lane % 4) and the next,
// and c[2], c[3] eight rows below. Float32 products are plain multiply-adds that leave their results in the
// same places, so that everything between the products is written once.
#pragma once
#include "device.cuh"
#include "parameters.h"

namespace longformer::cuda {

constexpr int kFloat32 = 0, kBFloat16 = 1, kFloat16 = 2;

// type: of the tensors. dim: padded to a multiple of 32. row_tiles: pieces of 16 rows that a warp owns. tile:
// rows of the other side (keys forward) in a stage. global_tile: how many of those hold global keys at a
// time. flags: there is a mask or a global token. aligned: rows are multiples of 16 bytes at such addresses.
// keep: the fragments of the own rows stay in registers.
template <int type_, int dim_, int warps_, int row_tiles_, int tile_, int global_tile_, int stages_,
          bool flags_, bool dropout_, bool aligned_, bool keep_>
struct Config {
  static constexpr int type = type_, dim = dim_, warps = warps_, row_tiles = row_tiles_, tile = tile_,
                       global_tile = global_tile_, stages = stages_;
  static constexpr bool flags = flags_, dropout = dropout_, aligned = aligned_,
                        keep = keep_ && type_ != kFloat32;
  static constexpr int threads = 32 * warps, rows = 16 * warps * row_tiles;
  static constexpr int size = type == kFloat32 ? 4 : 2, per_chunk = 16 / size, chunks = dim / per_chunk;
  static constexpr int row_bytes = dim * size;
  static constexpr int pieces = dim / 8;  // of the padded dimension
  // Addresses in registers at once. One or two warps with wide heads make many copies and have no registers
  // to spare.
  static constexpr int copies_at_once = !aligned ? 1 : warps <= 2 && dim > 64 ? 2 : 16;
  static_assert(dim % 32 == 0 && tile % 16 == 0 && tile <= 64 && global_tile <= tile, "shapes of the tiles");
};

LONGFORMER_DEVICE int lane_index() {
  return thread_index() & 31;
}
LONGFORMER_DEVICE int warp_index() {
  return thread_index() >> 5;
}
LONGFORMER_DEVICE int smaller_of(int x, int y) {
  return x < y ? x : y;
}
LONGFORMER_DEVICE int larger_of(int x, int y) {
  return x > y ? x : y;
}
LONGFORMER_DEVICE float infinity() {
  return float_of(0x7F800000u);
}

template <class C>
LONGFORMER_DEVICE u32 place_of(int row, int chunk) {
  const int swizzled = C::chunks % 8 == 0 ? chunk ^ (row & 7) : chunk ^ ((row >> 1) & 3);
  return static_cast<u32>((row * C::chunks + swizzled) * 16);
}

template <int type>
LONGFORMER_DEVICE u32 pack(float low, float high) {
  return type == kBFloat16 ? pack_bfloat16(low, high) : pack_float16(low, high);
}
template <int type>
LONGFORMER_DEVICE float unpack(u16 bits) {
  return type == kBFloat16 ? float_of(static_cast<u32>(bits) << 16) : float_of_float16(bits);
}
// Element i of a chunk.
template <int type>
LONGFORMER_DEVICE float element_of(const Vector& x, int i) {
  if (type == kFloat32) return float_of(x.word[i]);
  return unpack<type>(static_cast<u16>(x.word[i >> 1] >> (16 * (i & 1))));
}

template <class C>
LONGFORMER_DEVICE const char* row_address(const Rows& rows, int token, int head) {
  const long long element =
      static_cast<long long>(token) * rows.token_stride + static_cast<long long>(head) * rows.head_stride;
  return static_cast<const char*>(rows.data) + element * C::size;
}

// A chunk of a row, its elements from `dim` on zero.
template <class C>
LONGFORMER_DEVICE Vector load_chunk(const char* row, int chunk, int dim) {
  if (C::aligned) return chunk * C::per_chunk < dim ? load_vector(row + chunk * 16) : Vector{{0, 0, 0, 0}};
  Vector x = {{0, 0, 0, 0}};
#pragma unroll
  for (int i = 0; i < C::per_chunk; ++i) {
    const int element = chunk * C::per_chunk + i;
    if (element >= dim) continue;
    if (C::size == 4)
      x.word[i] = load(reinterpret_cast<const u32*>(row) + element);
    else
      x.word[i / 2] |= static_cast<u32>(load(reinterpret_cast<const u16*>(row) + element)) << (16 * (i & 1));
  }
  return x;
}

template <class C>
LONGFORMER_DEVICE void copy_chunk(u32 to, const Rows& rows, int token, int head, int chunk, int dim) {
  const char* row = row_address<C>(rows, token < 0 ? 0 : token, head);
  if (C::aligned) {
    const bool valid = token >= 0 && chunk * C::per_chunk < dim;
    copy_vector(to, valid ? row + chunk * 16 : row, valid);
  } else {
    shared_store_vector(to, token >= 0 ? load_chunk<C>(row, chunk, dim) : Vector{{0, 0, 0, 0}});
  }
}

// Rows of two tensors into two tiles. token_of(row): the token of a row of the tile, or -1 for a row of
// zeros.
template <class C, int count, class TokenOf>
LONGFORMER_DEVICE void copy_rows(u32 to_first, const Rows& first, u32 to_second, const Rows& second, int head,
                                 int dim, const TokenOf& token_of) {
#pragma unroll(C::copies_at_once)
  for (int i = 0; i < (count * C::chunks + C::threads - 1) / C::threads; ++i) {
    const int index = thread_index() + i * C::threads;
    if (count * C::chunks % C::threads != 0 && index >= count * C::chunks) break;
    const int row = index / C::chunks, chunk = index % C::chunks, token = token_of(row);
    const u32 place = place_of<C>(row, chunk);
    copy_chunk<C>(to_first + place, first, token, head, chunk, dim);
    copy_chunk<C>(to_second + place, second, token, head, chunk, dim);
  }
}

template <class C, int count, class TokenOf>
LONGFORMER_DEVICE void copy_rows(u32 to, const Rows& rows, int head, int dim, const TokenOf& token_of) {
#pragma unroll(C::copies_at_once)
  for (int i = 0; i < (count * C::chunks + C::threads - 1) / C::threads; ++i) {
    const int index = thread_index() + i * C::threads;
    if (count * C::chunks % C::threads != 0 && index >= count * C::chunks) break;
    const int row = index / C::chunks, chunk = index % C::chunks;
    copy_chunk<C>(to + place_of<C>(row, chunk), rows, token_of(row), head, chunk, dim);
  }
}

// The left side of a product: 16 rows of a tile from `row` on. flip: XORed into what is read, to change
// signs.
template <class C>
struct Operand {
  u32 tile;
  int row;
  u32 flip;
  u32 kept[C::keep ? C::dim / 16 : 1][4];

  LONGFORMER_DEVICE void fragment(u32 (&x)[4], int step) const {
    const int lane = lane_index();
    load_matrices(x, tile + place_of<C>(row + (lane & 15), 2 * step + (lane >> 4)));
#pragma unroll
    for (int i = 0; i < 4; ++i) x[i] ^= flip;
  }
  LONGFORMER_DEVICE void init(u32 tile_, int row_, u32 flip_) {
    tile = tile_;
    row = row_;
    flip = flip_;
    if (C::keep) {
#pragma unroll
      for (int step = 0; step < C::dim / 16; ++step) fragment(kept[C::keep ? step : 0], step);
    }
  }
};

template <int type>
LONGFORMER_DEVICE void multiply(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  if (type == kBFloat16)
    multiply_bfloat16(c, a, b0, b1);
  else
    multiply_float16(c, a, b0, b1);
}

// scores [16 rows, count] = rows . tile^T for each of the row tiles.
template <class C, int row_tiles, int count>
LONGFORMER_DEVICE void multiply_rows(float (&scores)[row_tiles][count / 8][4],
                                     const Operand<C> (&rows)[row_tiles], u32 tile) {
  const int lane = lane_index();
#pragma unroll
  for (int m = 0; m < row_tiles; ++m)
#pragma unroll
    for (int n = 0; n < count / 8; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e) scores[m][n][e] = 0.0f;
  if constexpr (C::type == kFloat32) {
    const int above = lane >> 2, pair = 2 * (lane & 3);
#pragma unroll 1
    for (int chunk = 0; chunk < C::chunks; ++chunk) {
      Vector b[count / 8][2];
#pragma unroll
      for (int n = 0; n < count / 8; ++n)
#pragma unroll
        for (int e = 0; e < 2; ++e) b[n][e] = shared_load_vector(tile + place_of<C>(8 * n + pair + e, chunk));
#pragma unroll
      for (int m = 0; m < row_tiles; ++m)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const Vector a =
              shared_load_vector(rows[m].tile + place_of<C>(rows[m].row + above + 8 * half, chunk));
#pragma unroll
          for (int n = 0; n < count / 8; ++n)
#pragma unroll
            for (int e = 0; e < 2; ++e)
#pragma unroll
              for (int i = 0; i < 4; ++i)
                scores[m][n][2 * half + e] =
                    multiply_add(float_of(a.word[i] ^ rows[m].flip), float_of(b[n][e].word[i]),
                                 scores[m][n][2 * half + e]);
        }
    }
  } else {
    const int row = (lane & 7) + 8 * (lane >> 4), chunk = (lane >> 3) & 1;
#pragma unroll
    for (int step = 0; step < C::dim / 16; ++step) {
      u32 a[row_tiles][4];
#pragma unroll
      for (int m = 0; m < row_tiles; ++m) {
        if (C::keep) {
#pragma unroll
          for (int i = 0; i < 4; ++i) a[m][i] = rows[m].kept[C::keep ? step : 0][i];
        } else {
          rows[m].fragment(a[m], step);
        }
      }
#pragma unroll
      for (int n = 0; n < count / 8; n += 2) {
        u32 b[4];
        load_matrices(b, tile + place_of<C>(8 * n + row, 2 * step + chunk));
#pragma unroll
        for (int m = 0; m < row_tiles; ++m) {
          multiply<C::type>(scores[m][n], a[m], b[0], b[1]);
          multiply<C::type>(scores[m][n + 1], a[m], b[2], b[3]);
        }
      }
    }
  }
}

// sums [16 rows, dim] += weights [16 rows, count] . tile for each of the row tiles. The weights go through
// the tensor cores in the tensors' type.
template <class C, int row_tiles, int count>
LONGFORMER_DEVICE void add_weighted(float (&sums)[row_tiles][C::pieces][4],
                                    const float (&weights)[row_tiles][count / 8][4], u32 tile) {
  const int lane = lane_index();
  if constexpr (C::type == kFloat32) {
    const int quad = lane & ~3, pair = 2 * (lane & 3);
#pragma unroll
    for (int n = 0; n < count / 8; ++n)
#pragma unroll 1
      for (int owner = 0; owner < 4; ++owner)
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          float w[row_tiles][2];
#pragma unroll
          for (int m = 0; m < row_tiles; ++m)
#pragma unroll
            for (int half = 0; half < 2; ++half)
              w[m][half] = shuffle(weights[m][n][2 * half + e], quad + owner);
          const int row = 8 * n + 2 * owner + e;
#pragma unroll
          for (int piece = 0; piece < C::pieces; ++piece) {
            float x, y;
            shared_load_two(tile + place_of<C>(row, 2 * piece + (pair >> 2)) + 4 * (pair & 3), x, y);
#pragma unroll
            for (int m = 0; m < row_tiles; ++m)
#pragma unroll
              for (int half = 0; half < 2; ++half) {
                sums[m][piece][2 * half] = multiply_add(w[m][half], x, sums[m][piece][2 * half]);
                sums[m][piece][2 * half + 1] = multiply_add(w[m][half], y, sums[m][piece][2 * half + 1]);
              }
          }
        }
  } else {
    const int row = lane & 15, chunk = lane >> 4;
#pragma unroll
    for (int step = 0; step < count / 16; ++step) {
      u32 a[row_tiles][4];
#pragma unroll
      for (int m = 0; m < row_tiles; ++m)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const float(&w)[4] = weights[m][2 * step + i / 2];
          a[m][i] = pack<C::type>(w[2 * (i & 1)], w[2 * (i & 1) + 1]);
        }
#pragma unroll
      for (int piece = 0; piece < C::pieces; piece += 2) {
        u32 b[4];
        load_matrices_transposed(b, tile + place_of<C>(16 * step + row, piece * 8 / C::per_chunk + chunk));
#pragma unroll
        for (int m = 0; m < row_tiles; ++m) {
          multiply<C::type>(sums[m][piece], a[m], b[0], b[1]);
          multiply<C::type>(sums[m][piece + 1], a[m], b[2], b[3]);
        }
      }
    }
  }
}

// 16 rows of sums, times a factor for those above and one for those below (0: zeros, whatever was summed),
// into the tile at `row`; store_rows brings them from there to a contiguous [N, H, D] tensor. Only the warp's
// own rows: other warps need not wait.
template <class C>
LONGFORMER_DEVICE void sums_to_tile(const float (&sums)[C::pieces][4], float above, float below, u32 tile,
                                    int row) {
  const int lane = lane_index(), pair = 2 * (lane & 3);
#pragma unroll
  for (int piece = 0; piece < C::pieces; ++piece)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float factor = half ? below : above;
      const float x = factor == 0.0f ? 0.0f : sums[piece][2 * half] * factor;
      const float y = factor == 0.0f ? 0.0f : sums[piece][2 * half + 1] * factor;
      const int at = row + (lane >> 2) + 8 * half;
      if (C::type == kFloat32) {
        const u32 place = tile + place_of<C>(at, 2 * piece + (pair >> 2)) + 4 * (pair & 3);
        shared_store(place, bits_of(x));
        shared_store(place + 4, bits_of(y));
      } else {
        shared_store(tile + place_of<C>(at, piece) + 2 * pair, pack<C::type>(x, y));
      }
    }
}

template <class C, int count, class TokenOf>
LONGFORMER_DEVICE void store_rows(u32 tile, int first, void* to, int head, int heads, int dim,
                                  const TokenOf& token_of) {
#pragma unroll 4
  for (int index = lane_index(); index < count * C::chunks; index += 32) {
    const int row = first + index / C::chunks, chunk = index % C::chunks, token = token_of(row);
    const Vector x = shared_load_vector(tile + place_of<C>(row, chunk));
    if (token < 0 || chunk * C::per_chunk >= dim) continue;
    char* at = static_cast<char*>(to) +
               ((static_cast<long long>(token) * heads + head) * dim + chunk * C::per_chunk) * C::size;
    if (C::aligned) {
      store_vector(at, x);
      continue;
    }
#pragma unroll
    for (int i = 0; i < C::per_chunk; ++i) {
      if (chunk * C::per_chunk + i >= dim) continue;
      if (C::size == 4)
        store(reinterpret_cast<u32*>(at) + i, x.word[i]);
      else
        store(reinterpret_cast<u16*>(at) + i, static_cast<u16>(x.word[i / 2] >> (16 * (i & 1))));
    }
  }
}

}  // namespace longformer::cuda
