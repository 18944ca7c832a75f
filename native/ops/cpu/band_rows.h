// Rows of any dtype in memory, read to the compute type and written, and transposes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "band_cells.h"
#include "band_problem.h"

namespace {

using longformer::cpu::BandProblem;
using longformer::cpu::Element;
using longformer::cpu::kBlock;
using longformer::cpu::Rows;

inline int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}
inline int64_t larger(int64_t a, int64_t b) {
  return a > b ? a : b;
}
inline ptrdiff_t element_size(Element e) {
  return e == Element::float64 ? 8 : e == Element::float32 ? 4 : e == Element::int8 ? 1 : 2;
}

// --- Rows in memory

template <class V>
inline typename V::T load_element(const void* row, ptrdiff_t i, Element element) {
  if constexpr (sizeof(typename V::S) == 8) {
    return V::load(static_cast<const double*>(row) + i);
  } else {
    if (element == Element::float32) return V::load(static_cast<const float*>(row) + i);
    if (element == Element::bfloat16) return V::load_bfloat16(static_cast<const uint16_t*>(row) + i);
    if (element == Element::int8) return V::load_int8(static_cast<const int8_t*>(row) + i);
    return V::load_float16(static_cast<const uint16_t*>(row) + i);
  }
}

template <class V>
inline void store_element(void* row, ptrdiff_t i, Element element, typename V::T x) {
  if constexpr (sizeof(typename V::S) == 8) {
    V::store(static_cast<double*>(row) + i, x);
  } else {
    if (element == Element::float32) return V::store(static_cast<float*>(row) + i, x);
    if (element == Element::bfloat16) return V::store_bfloat16(static_cast<uint16_t*>(row) + i, x);
    V::store_float16(static_cast<uint16_t*>(row) + i, x);
  }
}

// One row of dim elements to the compute type; the lanes up to a whole vector become zero.
template <class V>
inline void read_row(typename V::S* to, const void* row, Element element, ptrdiff_t dim) {
  ptrdiff_t i = 0;
  for (; i + V::lanes <= dim; i += V::lanes) V::store(to + i, load_element<V>(row, i, element));
  if (i == dim) return;
  alignas(64) char tail[64] = {};
  const ptrdiff_t size = element_size(element);
  std::memcpy(tail, static_cast<const char*>(row) + i * size, size_t((dim - i) * size));
  V::store(to + i, load_element<V>(tail, 0, element));
}

template <class V>
inline void write_row(void* row, const typename V::S* from, Element element, ptrdiff_t dim,
                      typename V::S factor) {
  const typename V::T f = V::set1(factor);
  ptrdiff_t i = 0;
  for (; i + V::lanes <= dim; i += V::lanes) store_element<V>(row, i, element, V::mul(f, V::load(from + i)));
  if (i == dim) return;
  alignas(64) typename V::S last[V::lanes] = {};
  for (ptrdiff_t j = i; j < dim; ++j) last[j - i] = from[j];
  alignas(64) char tail[64] = {};
  store_element<V>(tail, 0, element, V::mul(f, V::load(last)));
  const ptrdiff_t size = element_size(element);
  std::memcpy(static_cast<char*>(row) + i * size, tail, size_t((dim - i) * size));
}

// A row of whole, aligned vectors of the compute type, around the caches.
template <class V>
inline void stream_row(typename V::S* row, const typename V::S* from, ptrdiff_t dim, typename V::S factor) {
  const typename V::T f = V::set1(factor);
  for (ptrdiff_t i = 0; i < dim; i += V::lanes) V::stream(row + i, V::mul(f, V::load(from + i)));
}

// The tokens that a block or a tile consists of: first, first + step, ..., or a list.
struct Tokens {
  int64_t first = 0, step = 0;
  const int64_t* list = nullptr;
  int64_t operator[](int64_t i) const { return list != nullptr ? list[i] : first + i * step; }
};

inline const char* row_address(const Rows& rows, Element element, int64_t token, int64_t head) {
  return static_cast<const char*>(rows.data) +
         (token * rows.token_stride + head * rows.head_stride) * element_size(element);
}

// Rows of the tokens, [count][padded_dim]; rows whose bit is set in `skip` are not read and become zero.
template <class V>
inline void read_rows(typename V::S* to, const BandProblem& p, const Rows& rows, int64_t head,
                      const Tokens& tokens, int64_t count, uint64_t skip) {
  for (int64_t i = 0; i < count; ++i) {
    typename V::S* row = to + i * p.padded_dim;
    if (skip >> i & 1u) {
      std::memset(row, 0, size_t(p.padded_dim) * sizeof *row);
    } else {
      read_row<V>(row, row_address(rows, p.element, tokens[i], head), p.element, p.dim);
    }
  }
}

inline char* output_row(void* data, const BandProblem& p, int64_t token, int64_t head) {
  return static_cast<char*>(data) + (token * p.heads + head) * p.dim * element_size(p.element);
}

// Bit i set: tokens[i] may not be used.
inline uint64_t unusable(const uint8_t* usable, const Tokens& tokens, int64_t count) {
  if (usable == nullptr) return 0;
  uint64_t bits = 0;
  for (int64_t i = 0; i < count; ++i) bits |= uint64_t(usable[tokens[i]] == 0) << i;
  return bits;
}

// The lowest `count` bits, at least one.
inline bool all_set(uint64_t bits, int64_t count) {
  return ~bits << (64 - count) == 0;
}

// --- Transposing

// Interleaving the first half of the rows with the second, log2(lanes) times, is a transpose.
template <class V>
inline void transpose_square(typename V::S* to, ptrdiff_t ld_to, const typename V::S* from, ptrdiff_t ld_from,
                             typename V::T factor) {
  using T = typename V::T;
  constexpr int L = V::lanes;
  T x[L], y[L];
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i) x[i] = V::mul(factor, V::load(from + i * ld_from));
#pragma GCC unroll 4
  for (int width = 1; width < L; width *= 2) {
#pragma GCC unroll 16
    for (int i = 0; i < L / 2; ++i) {
      y[2 * i] = V::interleave_low(x[i], x[i + L / 2]);
      y[2 * i + 1] = V::interleave_high(x[i], x[i + L / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) x[i] = y[i];
  }
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i) V::store(to + i * ld_to, x[i]);
}

// [rows][cols] to [cols][rows]; both counts are rounded up to whole vectors, for which both arrays have room.
template <class V>
inline void transpose(typename V::S* to, ptrdiff_t ld_to, const typename V::S* from, ptrdiff_t ld_from,
                      ptrdiff_t rows, ptrdiff_t cols, typename V::S factor) {
  for (ptrdiff_t r = 0; r < rows; r += V::lanes) {
    for (ptrdiff_t c = 0; c < cols; c += V::lanes) {
      transpose_square<V>(to + c * ld_to + r, ld_to, from + r * ld_from + c, ld_from, V::set1(factor));
    }
  }
}

}  // namespace
