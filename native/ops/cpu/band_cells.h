// What the products of a block multiply: cells of four or eight bytes, each an element of the compute type,
// or two bfloat16 where the processor multiplies pairs of them (band_bfloat16.h). Everything between the
// products is in the compute type; pairs are made just before them.
#pragma once
#include <cstddef>
#include <cstdint>

#include "band_gemm.h"

namespace {

// A vector type whose products are not its own multiply-adds specialises this.
template <class V>
struct Cells {
  using T = typename V::T;
  using Product = V;               // the vector type that gemm multiplies cells with
  static constexpr int width = 1;  // elements in a cell
  struct Registers {};             // those that the products need besides, held for a unit
  // Stores a vector as neighbouring elements of a row.
  static void store(typename V::S* to, T x) { V::store(to, x); }
  // The elements of a vector of cells times their dropout factors. Pairs only become zero or stay: their sums
  // take the factor of kept ones, which is exact.
  static T drop(T x, const typename V::S* factors, ptrdiff_t) { return V::mul(x, V::load(factors)); }
};

template <class V>
using ProductOf = typename Cells<V>::Product;

template <class V>
constexpr bool by_tiles = Products<ProductOf<V>>::by_tiles;

template <class V>
constexpr ptrdiff_t cells_of(ptrdiff_t elements) {
  return (elements + Cells<V>::width - 1) / Cells<V>::width;
}

// Elements along a sum, up to what the products take: with tiles, which are 8 or 16 cells long, those up to a
// multiple of 16 are there, and zeros.
template <class V>
constexpr ptrdiff_t summed(ptrdiff_t elements) {
  return by_tiles<V> ? (elements + 15) / 16 * 16 : elements;
}
template <class V>
constexpr ptrdiff_t summed_cells(ptrdiff_t elements) {
  return cells_of<V>(summed<V>(elements));
}

// Rows 2i and 2i + 1 become row i, whose cells have one element of each; behind an odd number come zeros.
// The rows may be read and written in the same place.
template <class V>
inline void pair_rows(typename V::S* to, const typename V::S* from, ptrdiff_t ld, ptrdiff_t rows,
                      ptrdiff_t lanes) {
  for (ptrdiff_t row = 0; row < rows; row += 2)
    for (ptrdiff_t at = 0; at < lanes; at += V::lanes)
      V::store(to + row / 2 * ld + at,
               Cells<V>::pair(V::load(from + row * ld + at),
                              row + 1 < rows ? V::load(from + (row + 1) * ld + at) : V::zero()));
}

// Rows whose cells have neighbouring elements.
template <class V>
inline void narrow_rows(typename V::S* to, const typename V::S* from, ptrdiff_t ld, ptrdiff_t rows) {
  for (ptrdiff_t i = 0; i < rows * ld; i += V::lanes) Cells<V>::store(to + i / 2, V::load(from + i));
}

}  // namespace
