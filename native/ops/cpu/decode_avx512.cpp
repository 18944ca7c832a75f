// Token-by-token decoding for avx512; see few_rows.h and decode_attention.h.
#include "decode_problem.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)

#include "vec_avx512.h"

#include "decode_attention.h"
#include "few_rows.h"

namespace longformer::cpu {
const DecodeKernels* decode_kernels_avx512() {
  static constexpr DecodeKernels kernels = {few_rows<FloatAvx512>,
                                            {attend_chunk<FloatAvx512>, attend_chunk<DoubleAvx512>}};
  return &kernels;
}
}  // namespace longformer::cpu

#else  // another architecture, or a compiler without it
namespace longformer::cpu {
const DecodeKernels* decode_kernels_avx512() {
  return nullptr;
}
}  // namespace longformer::cpu
#endif
