// Few rows at a time, for avx512; see few_rows.h, decode_attention.h and pooled_tokens.h.
#include "few_rows_problem.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)

#include "vec_avx512.h"

#include "gelu_avx512.h"

#include "decode_attention.h"
#include "few_rows.h"
#include "pooled_tokens.h"

namespace longformer::cpu {
const FewRowsKernels* few_rows_kernels_avx512() {
  static constexpr FewRowsKernels kernels = {few_rows<FloatAvx512>,
                                             {attend_chunk<FloatAvx512>, attend_chunk<DoubleAvx512>},
                                             {pool_chunk<FloatAvx512>, pool_chunk<DoubleAvx512>}};
  return &kernels;
}
}  // namespace longformer::cpu

#else  // another architecture, or a compiler without it
namespace longformer::cpu {
const FewRowsKernels* few_rows_kernels_avx512() {
  return nullptr;
}
}  // namespace longformer::cpu
#endif
