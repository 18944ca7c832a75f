// The tile registers of AMX: eight of 16 rows of 64 bytes, 16 cells of four bytes each. One instruction adds
// the product of two of them, 16 x 16 x 16 cells, to a third. The compiler's own functions for them do not
// say that a tile is loaded from memory, and so leave the stores before it where the compiler likes.
#pragma once
#include <cstddef>
#include <cstdint>

namespace {

constexpr int64_t kTileHeight = 16;   // rows of a tile
constexpr int64_t kTileCells = 16;    // cells in a row
constexpr ptrdiff_t kTileBytes = 64;  // of a row

// All eight registers are whole tiles while it lives. Behind it none is in use: a thread that is put aside
// has nothing of theirs to be saved, and libtorch's oneDNN sets them up for itself.
class Tiles {
 public:
  Tiles() : Tiles(false) {}
  ~Tiles() { asm volatile("tilerelease"); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;

 protected:
  explicit Tiles(bool halves) {
    alignas(64) uint8_t configuration[64] = {1};  // the palette, then bytes a row at 16, rows at 48
    for (int i = 0; i < 8; ++i) {
      configuration[16 + 2 * i] = halves && i == 5 ? kTileBytes / 2 : kTileBytes;
      configuration[48 + i] = halves && i == 7 ? kTileHeight / 2 : kTileHeight;
    }
    asm volatile("ldtilecfg %0" ::"m"(configuration));
  }
};

// Register 5 has rows of 8 cells, and 7 has 8 rows: the factors of a product over 8 cells.
class TilesWithHalves : public Tiles {
 public:
  TilesWithHalves() : Tiles(true) {}
};

template <int TILE>
inline __attribute__((always_inline)) void zero_tile() {
  asm volatile("tilezero %%tmm%c0" ::"i"(TILE));
}
// Rows that are `stride` bytes apart.
template <int TILE>
inline __attribute__((always_inline)) void load_tile(const void* from, ptrdiff_t stride) {
  asm volatile("tileloadd (%1,%2,1), %%tmm%c0" ::"i"(TILE), "r"(from), "r"(stride) : "memory");
}
template <int TILE>
inline __attribute__((always_inline)) void store_tile(void* to, ptrdiff_t stride) {
  asm volatile("tilestored %%tmm%c0, (%1,%2,1)" ::"i"(TILE), "r"(to), "r"(stride) : "memory");
}

// Two bfloat16 in a cell, the sums in float32: TO[m][n] += sum over k of A[m][k] * B[k][n].
struct BFloat16Tiles {
  template <int TO, int A, int B>
  static inline __attribute__((always_inline)) void multiply_add() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(TO), "i"(A), "i"(B));
  }
};
// Four bytes in a cell, unsigned ones of A and signed ones of B, the sums in int32.
struct ByteTiles {
  template <int TO, int A, int B>
  static inline __attribute__((always_inline)) void multiply_add() {
    asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(TO), "i"(A), "i"(B));
  }
};

}  // namespace
