// The parts of product.h that differ with eight bits: the rows of the input are quantized as they are read,
// x ~ scale * q with q an integer of -127 .. 127 and scale = max|x| / 127 of the row; the products are summed
// in int32, exactly; the sums become floats in finish. Two forms of a cell: four bytes, for VNNI, which
// multiplies unsigned by signed ones, so that the input's are q + 128; and two shorts, for every processor.
// Both give the same sums.
#pragma once
#include "product.h"

namespace {

using longformer::cpu::kInt8Largest;

// --- What vectors of 32-bit integers, held as vectors of floats, can do.

#if defined(__AVX512F__)
inline __m512 add_shorts(__m512 x, __m512 weights, __m512 sum) {
  return _mm512_castsi512_ps(_mm512_add_epi32(
      _mm512_castps_si512(sum), _mm512_madd_epi16(_mm512_castps_si512(x), _mm512_castps_si512(weights))));
}
inline __m512 floats_of_difference(__m512 a, __m512 b) {
  return _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b)));
}
#endif
#if defined(__AVX2__)
inline __m256 add_shorts(__m256 x, __m256 weights, __m256 sum) {
  return _mm256_castsi256_ps(_mm256_add_epi32(
      _mm256_castps_si256(sum), _mm256_madd_epi16(_mm256_castps_si256(x), _mm256_castps_si256(weights))));
}
inline __m256 floats_of_difference(__m256 a, __m256 b) {
  return _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b)));
}
#endif
inline FloatPortable::T add_shorts(FloatPortable::T x, FloatPortable::T weights, FloatPortable::T sum) {
  using I = FloatPortable::I;
  const I a = (I)x, b = (I)weights;
  return (FloatPortable::T)((I)sum + ((a << 16) >> 16) * ((b << 16) >> 16) + (a >> 16) * (b >> 16));
}
inline FloatPortable::T floats_of_difference(FloatPortable::T a, FloatPortable::T b) {
  return __builtin_convertvector((FloatPortable::I)a - (FloatPortable::I)b, FloatPortable::T);
}

template <class V>
struct Shorts {
  using Cell = int16_t;
  static constexpr int32_t kZero = 0;
  static typename V::T multiply_add(typename V::T x, typename V::T weights, typename V::T sum) {
    return add_shorts(x, weights, sum);
  }
};

// --- Reading

// The scale of a row, and 1 / scale; 0 for a row of zeros; NaN and 0 for one that has a number that is not
// finite, whose result is NaN.
template <class V>
inline void scale_of_row(const void* row, Element element, int64_t count, float* scale, float* inverse) {
  typename V::T most = V::zero(), poison = V::zero();
  int64_t i = 0;
  const auto look = [&](typename V::T x) __attribute__((always_inline)) {
    most = V::max(most, magnitude<V>(x));
    poison = V::fma(x, V::zero(), poison);
  };
  for (; i + V::lanes <= count; i += V::lanes) look(load_element<V>(row, i, element));
  alignas(64) float lanes[V::lanes];
  if (i < count) {
    read_row<V>(lanes, static_cast<const char*>(row) + i * element_size(element), element, count - i);
    look(V::load(lanes));
  }
  V::store(lanes, most);
  float largest = 0;
  for (int l = 0; l < V::lanes; ++l) largest = lanes[l] > largest ? lanes[l] : largest;
  const float bad = V::sum(poison);  // 0, or NaN
  *scale = largest / kInt8Largest + bad;
  // A subnormal scale has no inverse: so small a row counts as zeros.
  *inverse = bad == 0 && *scale >= 0x1p-126f ? kInt8Largest / largest : 0;
}

// Inputs [first, first + count) of a row as cells, up to whole cells of four bytes.
template <class V, class Cell, int32_t ZERO>
inline void quantize_row(const void* row, Element element, int64_t first, int64_t count, float inverse,
                         void* to) {
  constexpr int64_t width = 64;
  alignas(64) float buffer[width];
  const typename V::T factor = V::set1(inverse);
  Cell* cells = static_cast<Cell*>(to);
  for (int64_t i = 0; i < count; i += width, cells += width) {
    const int64_t now = smaller(width, count - i);
    const char* const from = static_cast<const char*>(row) + (first + i) * element_size(element);
    if (now == width) {
#pragma GCC unroll 4
      for (int64_t k = 0; k < width; k += V::lanes)
        V::store(buffer + k, V::round(V::mul(load_element<V>(from, k, element), factor)));
      for (int64_t k = 0; k < width; ++k) cells[k] = Cell(int32_t(buffer[k]) + ZERO);
      continue;
    }
    std::memset(buffer, 0, sizeof buffer);
    read_row<V>(buffer, from, element, now);
    for (int64_t k = 0; k < width; k += V::lanes)
      V::store(buffer + k, V::round(V::mul(V::load(buffer + k), factor)));
    const int64_t whole = (now + 3) / 4 * 4;
    for (int64_t k = 0; k < whole; ++k) cells[k] = Cell(int32_t(buffer[k]) + ZERO);
  }
}

// What multiply_unit needs of a form of cells. The scales of the rows are at the beginning of `buffer`.
template <class V, class Form>
struct Int8Cells : Form {
  using Cell = typename Form::Cell;
  static constexpr int64_t kPerCell = 4 / int64_t(sizeof(Cell));

  static void read(const ProductProblem& p, const ProductUnit& u, int64_t first, int64_t depth,
                   int64_t padded_rows, float* to, int64_t stride, float* buffer) {
    const int64_t rows = u.last_row - u.first_row, from = first * kPerCell,
                  count = smaller(depth * kPerCell, p.inputs - from);
    float* const inverses = buffer + padded_rows;
    for (int64_t r = 0; r < rows; ++r) {
      const char* const row = element_at(p.input, u.first_row + r, 0);
      if (first == 0) scale_of_row<V>(row, p.input.element, p.inputs, buffer + r, inverses + r);
      float* const cells = to + r * stride;
      if (inverses[r] == 0) {  // what would be multiplied may be infinite
        Cell* const zeros = reinterpret_cast<Cell*>(cells);
        for (int64_t k = 0; k < depth * kPerCell; ++k) zeros[k] = Cell(Form::kZero);
      } else {
        quantize_row<V, Cell, Form::kZero>(row, p.input.element, from, count, inverses[r], cells);
      }
    }
  }

  static void finish(const ProductProblem& p, const ProductUnit& u, int64_t panel, const float* sums,
                     const float* scales) {
    const int64_t output = panel * kPanel, count = smaller(kPanel, p.outputs - output);
    alignas(64) float weight_scale[kPanel] = {};
    std::memcpy(weight_scale, p.weight_scale + output, size_t(count) * sizeof(float));
    const float* const too_much = reinterpret_cast<const float*>(p.offsets + output);
    const PanelBias<V> bias(p, panel);
    finish_rows<V>(
        p, u, panel, [&](int64_t row, int i) __attribute__((always_inline)) {
          const typename V::T sum =
              floats_of_difference(V::load(sums + row * kPanel + i), V::load(too_much + i));
          return V::fma(sum, V::mul(V::set1(scales[row]), V::load(weight_scale + i)),
                        V::load(bias.values + i));
        });
  }
};

}  // namespace
