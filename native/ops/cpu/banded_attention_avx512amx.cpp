// The attention kernels of bfloat16 by whole tiles, for AVX-512 with AMX; see band_problem.h.
#include "band_problem.h"

#if defined(__AVX512BF16__) && defined(__x86_64__)

#include "band_tiles.h"

#include "band_float_kernels.h"

namespace longformer::cpu {
const BandKernels* band_kernels_tiles() {
  return float_kernels<BFloat16Tiled>();
}
}  // namespace longformer::cpu

#else  // another architecture, or a compiler without it
namespace longformer::cpu {
const BandKernels* band_kernels_tiles() {
  return nullptr;
}
}  // namespace longformer::cpu
#endif
