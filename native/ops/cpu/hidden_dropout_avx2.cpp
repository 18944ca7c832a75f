// hidden_dropout for avx2; see drop_elements.h.
#include "hidden_keep.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include "vec_portable.h"

#include "drop_elements.h"

namespace longformer::cpu {
const DropKernels* drop_kernels_avx2() {
  return &drop_kernels;
}
}  // namespace longformer::cpu

#else  // another architecture, or a compiler without it
namespace longformer::cpu {
const DropKernels* drop_kernels_avx2() {
  return nullptr;
}
}  // namespace longformer::cpu
#endif
