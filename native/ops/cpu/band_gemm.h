// Small matrix products in registers: C[row][lane] = (zero | C | C * alpha[lane]) + sum_r a(row, r) *
// B[r][lane], where a(row, r) is A[row * lda + r], or A[r * lda + row] when transposed. Scalars of A are
// broadcast, lanes are vectors. Every element is one chain of multiply-adds in the order of r, whatever the
// blocking, so that results do not depend on how a product is cut into rows and lanes.
#pragma once
#include <cstddef>
#include <cstdint>

namespace {

enum class Start { zero, keep, rescale };

// Rows of memory that will be read soon, asked for a cache line at a time in the loops of the products: they
// are far apart, so that the processor does not foresee them, and a core has only ten or twelve misses under
// way, so that asking for many at once makes it wait.
class Ahead {
 public:
  // Where a product continues to ask. Past a set's end it asks for the rows behind it, which does no harm.
  // With a step of less than a line it asks for each several times, which costs next to nothing: the limit
  // is how many misses are under way, since the products' own share their queue.
  struct Lines {
    const char* at = nullptr;
    ptrdiff_t step = 0;  // in bytes; 0: nothing to ask for
    const char* row_end = nullptr;
    ptrdiff_t jump = 0, stride = 0;  // from one row's end to the next row, from row to row
    inline void ask() {
      __builtin_prefetch(at, 0, 2);
      at += step;
      if (at == row_end) {
        at += jump;
        row_end += stride;
      }
    }
  };

  void add(const char* first, ptrdiff_t stride, ptrdiff_t bytes, int rows) {
    if (sets_ < 8 && rows > 0) set_[sets_++] = {first, stride, (bytes + kLine - 1) / kLine * kLine, rows};
  }
  void clear() { sets_ = 0; }
  // The product's scratch memory, and how many lines it has asked for.
  Lines& lines() {
    if (left_ <= 0) next_set();
    return lines_;
  }
  void asked(ptrdiff_t count) { left_ -= count; }
  // Begins with what has been added, spread over about so many askings.
  void start(ptrdiff_t askings) {
    ptrdiff_t lines = 0;
    for (int i = 0; i < sets_; ++i) lines += set_[i].bytes / kLine * set_[i].rows;
    for (step_ = kLine; step_ > 8 && lines * (kLine / step_) * 2 <= askings; step_ /= 2) {
    }
    left_ = 0;
  }

 private:
  static constexpr ptrdiff_t kLine = 64;
  struct Set {
    const char* first;
    ptrdiff_t stride, bytes;
    int rows;
  };
  void next_set() {
    if (sets_ == 0) {
      lines_.step = 0;
      lines_.row_end = nullptr;
      left_ = PTRDIFF_MAX;
      return;
    }
    const Set& s = set_[--sets_];
    lines_ = {s.first, step_, s.first + s.bytes, s.stride - s.bytes, s.stride};
    left_ = s.bytes / step_ * s.rows;
  }
  Set set_[8];
  int sets_ = 0;
  ptrdiff_t left_ = 0, step_ = kLine;
  Lines lines_;
};

// The distance of rows that nearly every B and C has: that of a block of 64 lanes. Known to the compiler, all
// addresses of a register block are constants beside one pointer; computing them took a tenth of its time.
constexpr ptrdiff_t kUsualStride = 64;

// Something is asked for once in so many rows of B: about every 25 cycles.
constexpr ptrdiff_t kRowsPerAsking = 2;

// Row distances: STRIDE of B and C, STRIDE_A of A; 0 where it is not known.
template <class V, int ROWS, int VECTORS, bool TRANSPOSED, ptrdiff_t STRIDE, ptrdiff_t STRIDE_A>
__attribute__((noinline)) void gemm_block(typename V::S* c, ptrdiff_t ldc, const typename V::S* a,
                                          ptrdiff_t lda, const typename V::S* b, ptrdiff_t ldb, ptrdiff_t n,
                                          Start start, const typename V::S* alpha, Ahead::Lines& lines) {
  using T = typename V::T;
  if constexpr (STRIDE > 0) ldb = ldc = STRIDE;
  if constexpr (STRIDE_A > 0) lda = STRIDE_A;
  T sum[ROWS][VECTORS];
  if (start == Start::zero) {
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; ++v) sum[i][v] = V::zero();
  } else {
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; ++v) sum[i][v] = V::load(c + i * ldc + v * V::lanes);
    if (start == Start::rescale) {
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; ++v) {
        const T factor = V::load(alpha + v * V::lanes);
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; ++i) sum[i][v] = V::mul(sum[i][v], factor);
      }
    }
  }
  const auto add_row = [&]() __attribute__((always_inline)) {
    T row[VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) row[v] = V::load(b + v * V::lanes);
    b += ldb;
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; ++i) {
      const T scalar = V::set1(TRANSPOSED ? a[i] : a[i * lda]);
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; ++v) sum[i][v] = V::fma(scalar, row[v], sum[i][v]);
    }
    a += TRANSPOSED ? lda : 1;
  };
  Ahead::Lines ahead = lines;
  ptrdiff_t r = 0;
  for (; r + kRowsPerAsking <= n; r += kRowsPerAsking) {
    ahead.ask();
#pragma GCC unroll 4
    for (ptrdiff_t i = 0; i < kRowsPerAsking; ++i) add_row();
  }
  for (; r < n; ++r) add_row();
  lines = ahead;
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) V::store(c + i * ldc + v * V::lanes, sum[i][v]);
}

template <int N>
struct Count {
  static constexpr int value = N;
};

template <class V, int VECTORS, bool TRANSPOSED, ptrdiff_t STRIDE, ptrdiff_t STRIDE_A>
inline void gemm_columns(typename V::S* c, ptrdiff_t ldc, const typename V::S* a, ptrdiff_t lda,
                         const typename V::S* b, ptrdiff_t ldb, ptrdiff_t rows, ptrdiff_t n, Start start,
                         const typename V::S* alpha, Ahead& ahead) {
  constexpr int R = V::block_rows(VECTORS);
  const ptrdiff_t step = TRANSPOSED ? 1 : lda;  // of A, from one row of C to the next
  const auto block = [&](auto count, ptrdiff_t i) {
    gemm_block<V, decltype(count)::value, VECTORS, TRANSPOSED, STRIDE, STRIDE_A>(
        c + i * ldc, ldc, a + i * step, lda, b, ldb, n, start, alpha, ahead.lines());
    ahead.asked(n / kRowsPerAsking);
    return i + decltype(count)::value;
  };
  ptrdiff_t i = 0;
  while (i + R <= rows) i = block(Count<R>(), i);
  while (i + 4 <= rows) i = block(Count<4>(), i);
  while (i + 2 <= rows) i = block(Count<2>(), i);
  while (i < rows) i = block(Count<1>(), i);
}

template <class V, bool TRANSPOSED, ptrdiff_t STRIDE, ptrdiff_t STRIDE_A>
inline void gemm_of_stride(typename V::S* c, ptrdiff_t ldc, const typename V::S* a, ptrdiff_t lda,
                           const typename V::S* b, ptrdiff_t ldb, ptrdiff_t rows, ptrdiff_t vectors,
                           ptrdiff_t n, Start start, Ahead& ahead, const typename V::S* alpha) {
  for (ptrdiff_t v = 0; v < vectors;) {
    const ptrdiff_t left = vectors - v, at = v * V::lanes;
    const typename V::S* factor = alpha == nullptr ? nullptr : alpha + at;
    if (V::max_vectors >= 4 && left >= 4) {
      gemm_columns<V, V::max_vectors, TRANSPOSED, STRIDE, STRIDE_A>(c + at, ldc, a, lda, b + at, ldb, rows, n,
                                                                    start, factor, ahead);
      v += 4;
    } else if (V::max_vectors >= 3 && left == 3) {
      gemm_columns<V, V::max_vectors >= 3 ? 3 : 1, TRANSPOSED, STRIDE, STRIDE_A>(
          c + at, ldc, a, lda, b + at, ldb, rows, n, start, factor, ahead);
      v += 3;
    } else if (left >= 2) {
      gemm_columns<V, 2, TRANSPOSED, STRIDE, STRIDE_A>(c + at, ldc, a, lda, b + at, ldb, rows, n, start,
                                                       factor, ahead);
      v += 2;
    } else {
      gemm_columns<V, 1, TRANSPOSED, STRIDE, STRIDE_A>(c + at, ldc, a, lda, b + at, ldb, rows, n, start,
                                                       factor, ahead);
      v += 1;
    }
  }
}

// A vector type that is multiplied in another way specialises this (band_tiles.h).
template <class V>
struct Products {
  static constexpr bool by_tiles = false;
};

// `vectors` counts whole vectors of lanes.
template <class V, bool TRANSPOSED>
inline void gemm(typename V::S* c, ptrdiff_t ldc, const typename V::S* a, ptrdiff_t lda,
                 const typename V::S* b, ptrdiff_t ldb, ptrdiff_t rows, ptrdiff_t vectors, ptrdiff_t n,
                 Start start, Ahead& ahead, const typename V::S* alpha = nullptr) {
  if constexpr (Products<V>::by_tiles) {
    static_assert(!TRANSPOSED);
    Products<V>::run(c, ldc, a, lda, b, ldb, rows, vectors, n, start, ahead, alpha);
    return;
  }
  constexpr ptrdiff_t U = kUsualStride;
  if (ldc != U || ldb != U)
    gemm_of_stride<V, TRANSPOSED, 0, 0>(c, ldc, a, lda, b, ldb, rows, vectors, n, start, ahead, alpha);
  else if (lda == U)
    gemm_of_stride<V, TRANSPOSED, U, U>(c, ldc, a, lda, b, ldb, rows, vectors, n, start, ahead, alpha);
  else if (lda == U / 2)  // pairs of bfloat16
    gemm_of_stride<V, TRANSPOSED, U, U / 2>(c, ldc, a, lda, b, ldb, rows, vectors, n, start, ahead, alpha);
  else
    gemm_of_stride<V, TRANSPOSED, U, 0>(c, ldc, a, lda, b, ldb, rows, vectors, n, start, ahead, alpha);
}

}  // namespace
