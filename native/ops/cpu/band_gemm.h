// Small matrix products in registers: C[row][lane] = (zero | C | C * alpha[lane]) + sum_r a(row, r) *
// B[r][lane], where a(row, r) is A[row * lda + r], or A[r * lda + row] when transposed. Scalars of A are
// broadcast, lanes are vectors. Every element is one chain of multiply-adds in the order of r, whatever the
// blocking, so that results do not depend on how a product is cut into rows and lanes.
#pragma once
#include <cstddef>

namespace {

enum class Start { zero, keep, rescale };

// Rows of memory that will be read soon, asked for a few at a time between the register blocks of the
// products: they lie far apart, so that the processor does not foresee them, and asking for all at once would
// fill its queue of misses.
class Ahead {
 public:
  void add(const char* first, ptrdiff_t stride, ptrdiff_t bytes, int rows) {
    if (sets_ < 8 && rows > 0) set_[sets_++] = {first, stride, bytes, rows};
    total_ += rows;
  }
  // Distributes what has been added over so many calls of step().
  void spread(int calls) { per_step_ = total_ / (calls > 0 ? calls : 1) + 1; }
  void clear() { *this = Ahead(); }
  inline void step() {
    if (sets_ == 0) return;
    for (int i = 0; i < per_step_ && sets_ > 0; ++i) {
      Set& s = set_[sets_ - 1];
      for (ptrdiff_t byte = 0; byte < s.bytes; byte += 64) __builtin_prefetch(s.next + byte, 0, 2);
      s.next += s.stride;
      if (--s.rows == 0) --sets_;
    }
  }

 private:
  struct Set {
    const char* next;
    ptrdiff_t stride, bytes;
    int rows;
  };
  Set set_[8];
  int sets_ = 0, total_ = 0, per_step_ = 1;
};

// The distance of rows that nearly every B and C has: that of a block of 64 lanes. Known to the compiler, all
// addresses of a register block are constants beside one pointer; computing them took a tenth of its time.
constexpr ptrdiff_t kUsualStride = 64;

// STRIDE: of B and C, 0 where it is not known.
template <class V, int ROWS, int VECTORS, bool TRANSPOSED, ptrdiff_t STRIDE>
__attribute__((noinline)) void gemm_block(typename V::S* c, ptrdiff_t ldc, const typename V::S* a,
                                          ptrdiff_t lda, const typename V::S* b, ptrdiff_t ldb, ptrdiff_t n,
                                          Start start, const typename V::S* alpha) {
  using T = typename V::T;
  if constexpr (STRIDE > 0) ldb = ldc = STRIDE;
  T sum[ROWS][VECTORS];
  if (start == Start::zero) {
#pragma GCC unroll 12
    for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; ++v) sum[i][v] = V::zero();
  } else {
#pragma GCC unroll 12
    for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; ++v) sum[i][v] = V::load(c + i * ldc + v * V::lanes);
    if (start == Start::rescale) {
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; ++v) {
        const T factor = V::load(alpha + v * V::lanes);
#pragma GCC unroll 12
        for (int i = 0; i < ROWS; ++i) sum[i][v] = V::mul(sum[i][v], factor);
      }
    }
  }
#pragma GCC unroll 2
  for (ptrdiff_t r = 0; r < n; ++r) {
    T row[VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) row[v] = V::load(b + v * V::lanes);
    b += ldb;
#pragma GCC unroll 12
    for (int i = 0; i < ROWS; ++i) {
      const T scalar = V::set1(TRANSPOSED ? a[i] : a[i * lda]);
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; ++v) sum[i][v] = V::fma(scalar, row[v], sum[i][v]);
    }
    a += TRANSPOSED ? lda : 1;
  }
#pragma GCC unroll 12
  for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) V::store(c + i * ldc + v * V::lanes, sum[i][v]);
}

template <class V, int VECTORS, bool TRANSPOSED, ptrdiff_t STRIDE>
inline void gemm_columns(typename V::S* c, ptrdiff_t ldc, const typename V::S* a, ptrdiff_t lda,
                         const typename V::S* b, ptrdiff_t ldb, ptrdiff_t rows, ptrdiff_t n, Start start,
                         const typename V::S* alpha, Ahead& ahead) {
  constexpr int R = V::block_rows(VECTORS);
  const ptrdiff_t step = TRANSPOSED ? 1 : lda;  // of A, from one row of C to the next
  ptrdiff_t i = 0;
  for (; i + R <= rows; i += R, ahead.step())
    gemm_block<V, R, VECTORS, TRANSPOSED, STRIDE>(c + i * ldc, ldc, a + i * step, lda, b, ldb, n, start,
                                                  alpha);
  for (; i + 4 <= rows; i += 4, ahead.step())
    gemm_block<V, 4, VECTORS, TRANSPOSED, STRIDE>(c + i * ldc, ldc, a + i * step, lda, b, ldb, n, start,
                                                  alpha);
  for (; i + 2 <= rows; i += 2, ahead.step())
    gemm_block<V, 2, VECTORS, TRANSPOSED, STRIDE>(c + i * ldc, ldc, a + i * step, lda, b, ldb, n, start,
                                                  alpha);
  for (; i < rows; ++i, ahead.step())
    gemm_block<V, 1, VECTORS, TRANSPOSED, STRIDE>(c + i * ldc, ldc, a + i * step, lda, b, ldb, n, start,
                                                  alpha);
}

template <class V, bool TRANSPOSED, ptrdiff_t STRIDE>
inline void gemm_of_stride(typename V::S* c, ptrdiff_t ldc, const typename V::S* a, ptrdiff_t lda,
                           const typename V::S* b, ptrdiff_t ldb, ptrdiff_t rows, ptrdiff_t vectors,
                           ptrdiff_t n, Start start, Ahead& ahead, const typename V::S* alpha) {
  for (ptrdiff_t v = 0; v < vectors;) {
    const ptrdiff_t left = vectors - v, at = v * V::lanes;
    const typename V::S* factor = alpha == nullptr ? nullptr : alpha + at;
    if (V::max_vectors >= 4 && left >= 4) {
      gemm_columns<V, V::max_vectors, TRANSPOSED, STRIDE>(c + at, ldc, a, lda, b + at, ldb, rows, n, start,
                                                          factor, ahead);
      v += 4;
    } else if (V::max_vectors >= 3 && left == 3) {
      gemm_columns<V, V::max_vectors >= 3 ? 3 : 1, TRANSPOSED, STRIDE>(c + at, ldc, a, lda, b + at, ldb, rows,
                                                                       n, start, factor, ahead);
      v += 3;
    } else if (left >= 2) {
      gemm_columns<V, 2, TRANSPOSED, STRIDE>(c + at, ldc, a, lda, b + at, ldb, rows, n, start, factor, ahead);
      v += 2;
    } else {
      gemm_columns<V, 1, TRANSPOSED, STRIDE>(c + at, ldc, a, lda, b + at, ldb, rows, n, start, factor, ahead);
      v += 1;
    }
  }
}

// `vectors` counts whole vectors of lanes.
template <class V, bool TRANSPOSED>
inline void gemm(typename V::S* c, ptrdiff_t ldc, const typename V::S* a, ptrdiff_t lda,
                 const typename V::S* b, ptrdiff_t ldb, ptrdiff_t rows, ptrdiff_t vectors, ptrdiff_t n,
                 Start start, Ahead& ahead, const typename V::S* alpha = nullptr) {
  if (ldc == kUsualStride && ldb == kUsualStride)
    gemm_of_stride<V, TRANSPOSED, kUsualStride>(c, ldc, a, lda, b, ldb, rows, vectors, n, start, ahead,
                                                alpha);
  else
    gemm_of_stride<V, TRANSPOSED, 0>(c, ldc, a, lda, b, ldb, rows, vectors, n, start, ahead, alpha);
}

}  // namespace
