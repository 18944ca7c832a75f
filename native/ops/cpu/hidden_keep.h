// Which elements hidden_dropout keeps, for the kernels that drop out by the way.
#pragma once
#include <cstdint>

namespace longformer::cpu {

// A dropout: element i is multiplied with kept where hidden_keeps(seed + i, threshold), else with 0. kept 0:
// there is none.
struct HiddenDrop {
  uint64_t seed = 0, threshold = 0;
  double kept = 0;
};

// Whether the element of this sum of seed and index is kept: 24 bits of a mixer against the threshold.
static inline bool hidden_keeps(uint64_t x, uint64_t threshold) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return (x >> 40) >= threshold;
}

// hidden_dropout of elements [first, last) of a flat input; by Element: float32, float64, bfloat16, float16.
struct DropKernels {
  void (*elements[4])(const void* input, void* output, const HiddenDrop&, int64_t first, int64_t last);
};
const DropKernels* drop_kernels_portable();
const DropKernels* drop_kernels_avx2();
const DropKernels* drop_kernels_avx512();

}  // namespace longformer::cpu
