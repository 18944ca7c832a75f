// The table of gelu_avx512.h.
#pragma once

namespace longformer::cpu {

// Q(t) = 1 - Phi(t) between 0 and 6 by polynomials, of which a permutation of a register picks one for each
// lane: [power][interval], in powers of the distance from an interval's middle, an interval being 1. With it,
// gelu(x) = max(x, 0) - |x| Q(|x|), exact to 1e-8 (1 + |x|) and relatively exact near 0. Q(6) is 1e-9.
constexpr int kGeluIntervals = 16, kGeluPowers = 6;
constexpr double kGeluEnd = 6;
struct GeluTable {
  alignas(64) float coefficients[kGeluPowers][kGeluIntervals];
};
extern const GeluTable gelu_table;

}  // namespace longformer::cpu
