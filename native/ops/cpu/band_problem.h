// The structs that the drivers (banded_attention*.cpp) hand to the kernels (band_*.h, compiled once for
// every instruction set, which know neither ATen nor the standard library's templates: an inline function of
// those compiled with AVX-512 flags could be the copy that the linker keeps for everybody).
//
// Layout of the computation. Within a (sequence, head), the tokens of one residue class modulo the dilation
// form an undilated problem, since a query only sees keys of its own class. Class coordinate a means
// token residue + a * dilation of its sequence. Queries are taken in blocks of 64 and held transposed, Q^T
// [D][64]: lanes of a vector are queries. Scores come as S^T [key][query], so that the softmax is a vertical
// operation, keys and values are read one scalar at a time (broadcast), and no K needs transposing. Tiles of
// 64 keys are copied to the thread's scratch and used by all blocks whose window they are in: rows of a [N,
// H, D] tensor are so far apart that they fall on few cache sets.
#pragma once
#include <cstddef>
#include <cstdint>

#include "isa.h"

namespace longformer::cpu {

constexpr int64_t kBlock = 64;          // queries in a block, keys in a tile
constexpr int64_t kSegmentBlocks = 32;  // query blocks of one backward task, at least

enum class Element : int { float32, float64, bfloat16, float16, int8 };  // int8: weights of few_rows.h only

struct Rows {  // a [N, H, D] tensor whose last dimension is contiguous
  const void* data = nullptr;
  int64_t token_stride = 0;  // in elements
  int64_t head_stride = 0;
};

struct BandProblem {
  Element element = Element::float32;
  Rows q, k, v;
  int64_t heads = 0, dim = 0, padded_dim = 0;  // padded_dim: dim rounded up to 16
  const int64_t* offsets = nullptr;            // [S+1]
  const uint8_t* visible = nullptr;            // [N] or null: all visible
  const uint8_t* local_key = nullptr;          // [N] visible and not global; null: all
  const int64_t* global_start = nullptr;       // [S+1] into global_token; null: no global tokens
  const int64_t* global_token = nullptr;  // visible global tokens, as positions in N, ascending in a sequence
  int64_t window_left = 0, window_right = 0;
  // No query sees a key by the window: the global keys are all there is, and they are tokens of k and v
  // alone, which then have a length of their own (dense_attention.cpp).
  bool only_global = false;
  const int64_t* dilation = nullptr;  // [H]
  double scale = 1;
  bool dropout = false;
  uint64_t drop_below = 0;  // kept when the mixer's upper 53 bits reach this
  double keep_scale = 1;    // 1 / (1 - p)
  uint64_t seed = 0;
  int64_t cached_tiles = 0;  // see tiles_to_cache

  // Relative positions (band_relative.h): the table [relative_count, H, D] with the row of distance 0, and
  // what is made of it in the compute type. columns is null without relative positions, rows in a forward
  // pass.
  Rows relative;
  int64_t relative_count = 0, relative_zero = 0;
  int64_t relative_tiles = 0;                                    // tiles of 64 slots of the window
  void* relative_columns = nullptr;                              // [H][tiles][padded_dim][64]
  void* relative_rows = nullptr;                                 // [H][tiles][64][padded_dim]
  const void *content_bias = nullptr, *position_bias = nullptr;  // [H][padded_dim]
};

struct BandForwardProblem : BandProblem {
  void* out = nullptr;  // [N, H, D] contiguous
  void* lse = nullptr;  // [N, H] contiguous, float or double
  // The output is of the compute type, its rows are whole cache lines, and it is larger than the caches: it
  // is written around them.
  bool stream_out = false;
};

struct BandBackwardProblem : BandProblem {
  Rows grad_out, out;
  const void* lse = nullptr;
  void *grad_q = nullptr, *grad_k = nullptr, *grad_v = nullptr;  // [N, H, D] contiguous
  // [P, H, D] of zeros, [H, D] and [H, D], contiguous; null without relative positions.
  void *grad_relative = nullptr, *grad_content_bias = nullptr, *grad_position_bias = nullptr;
};

// One (sequence, head, residue class) and in it a range of query blocks: one block forward, a segment of them
// backward.
struct BandUnit {
  int64_t sequence, head, residue, dilation;
  int64_t length;  // of the class
  int64_t first_block, blocks;
  // Backward only. Keys [key_begin, key_end) of the class are touched. Their gradients gather in scratch; a
  // key that no other unit touches is written to grad_k and grad_v, the others' sums to `shared` (2 x
  // keys x padded_dim: K then V), and those of the sequence's global keys to `shared_global` (2 x globals x
  // padded_dim), for the merging pass.
  int64_t key_begin, key_end;
  void* shared;
  void* shared_global;
  // Relative positions: the tiles of slots that the unit has keys in, and the place for what it finds:
  // (2 + 64 * tiles) x padded_dim, first the sums that are the gradients of the two biases.
  int64_t relative_begin = 0, relative_count = 0;
  void* shared_relative = nullptr;
};

// How many tiles of keys and values a thread keeps: those of one block's window, but at most a megabyte,
// behind which a tile is copied again for every block. One more slot holds the first tile of global keys.
constexpr int64_t kMostCachedTiles = 64;
static inline int64_t tiles_to_cache(const BandProblem& p) {
  const int64_t size = p.element == Element::float64 ? 8 : 4,
                fit = (int64_t(1) << 20) / (2 * kBlock * p.padded_dim * size);
  const int64_t window = (p.window_left + p.window_right) / kBlock + 3;
  const int64_t most = fit < kMostCachedTiles ? (fit < 2 ? 2 : fit) : kMostCachedTiles;
  return window < most ? window : most;
}

// Of relative positions: the queries and the band of scores; their gradients besides, and the unit's sums.
static inline size_t relative_forward_scratch(const BandProblem& p) {
  return p.relative_columns == nullptr ? 0 : size_t(2 * kBlock * p.padded_dim + 2 * kBlock * kBlock + kBlock);
}
static inline size_t relative_backward_scratch(const BandProblem& p, int64_t tiles) {
  return p.relative_columns == nullptr
             ? 0
             : relative_forward_scratch(p) + size_t((2 + tiles * kBlock) * p.padded_dim);
}

// Scratch memory of one thread, in elements of the compute type (float, or double for float64), 64-byte
// aligned.
static inline size_t forward_scratch(const BandProblem& p) {
  return size_t((3 + 2 * (p.cached_tiles + 1)) * kBlock * p.padded_dim + kBlock * kBlock + 11 * kBlock) +
         relative_forward_scratch(p);
}
static inline size_t backward_scratch(const BandProblem& p, int64_t keys, int64_t globals,
                                      int64_t relative_tiles) {
  return size_t((6 + 2 * (p.cached_tiles + 1)) * kBlock * p.padded_dim + 3 * kBlock * kBlock + 3 * kBlock +
                2 * (keys + globals) * p.padded_dim) +
         relative_forward_scratch(p) + relative_backward_scratch(p, relative_tiles);
}

struct BandMerge {  // sums what several units found for the same keys; units in ascending order
  const BandUnit* units = nullptr;
  int64_t count = 0;
};

struct BandKernels {
  void (*forward[2])(const BandForwardProblem&, const BandUnit&, void* scratch);  // [0] float, [1] double
  void (*backward[2])(const BandBackwardProblem&, const BandUnit&, void* scratch);
  // All units of one (sequence, head, residue): keys [first, last) of the class that more than one unit
  // touched.
  void (*merge_local[2])(const BandBackwardProblem&, const BandMerge&, int64_t first, int64_t last,
                         void* scratch);
  // All units of one (sequence, head): the gradients of its global keys [first, last).
  void (*merge_global[2])(const BandBackwardProblem&, const BandMerge&, int64_t first, int64_t last,
                          void* scratch);
  // Relative positions: one tile of slots of a head (the scratch holds 64 x padded_dim), and a head's bias.
  void (*prepare_relative[2])(const BandProblem&, int64_t head, int64_t tile, void* scratch);
  void (*prepare_bias[2])(const BandProblem&, const Rows& bias, int64_t head, void* to);
  // All units: the gradients of slots [first, last) of a head, and of its biases.
  void (*merge_relative[2])(const BandBackwardProblem&, const BandMerge&, int64_t head, int64_t first,
                            int64_t last, void* scratch);
  void (*merge_biases[2])(const BandBackwardProblem&, const BandMerge&, int64_t head, void* scratch);
};

// Null where the compiler or the architecture cannot build it. Whether the processor can run it is for isa.h
// to say.
const BandKernels* band_kernels_portable();
const BandKernels* band_kernels_avx2();
const BandKernels* band_kernels_avx512();
// The float32 entries only: for bfloat16, in products of pairs, and by whole tiles of them, which have no
// relative positions.
const BandKernels* band_kernels_bfloat16();
const BandKernels* band_kernels_tiles();

static inline const BandKernels* band_kernels(Isa isa) {
  return isa == Isa::avx512 ? band_kernels_avx512()
         : isa == Isa::avx2 ? band_kernels_avx2()
                            : band_kernels_portable();
}

}  // namespace longformer::cpu
