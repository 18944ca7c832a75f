// hidden_dropout for avx512; see drop_elements.h.
#include "hidden_keep.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)

#include "vec_portable.h"

#include "drop_elements.h"

namespace longformer::cpu {
const DropKernels* drop_kernels_avx512() {
  return &drop_kernels;
}
}  // namespace longformer::cpu

#else  // another architecture, or a compiler without it
namespace longformer::cpu {
const DropKernels* drop_kernels_avx512() {
  return nullptr;
}
}  // namespace longformer::cpu
#endif
