// The attention kernels of bfloat16 for avx512bf16; see band_problem.h.
#include "band_problem.h"

#if defined(__AVX512BF16__)

#include "band_bfloat16.h"

#include "band_float_kernels.h"

namespace longformer::cpu {
const BandKernels* band_kernels_bfloat16() {
  return float_kernels<BFloat16Avx512>();
}
}  // namespace longformer::cpu

#else  // another architecture, or a compiler without it
namespace longformer::cpu {
const BandKernels* band_kernels_bfloat16() {
  return nullptr;
}
}  // namespace longformer::cpu
#endif
