// Few rows at a time, for avx2; see few_rows.h, decode_attention.h and pooled_tokens.h.
#include "few_rows_problem.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include "vec_avx2.h"

#include "decode_attention.h"
#include "few_rows.h"
#include "pooled_tokens.h"

namespace longformer::cpu {
const FewRowsKernels* few_rows_kernels_avx2() {
  static constexpr FewRowsKernels kernels = {few_rows<FloatAvx2>,
                                             {attend_chunk<FloatAvx2>, attend_chunk<DoubleAvx2>},
                                             {pool_chunk<FloatAvx2>, pool_chunk<DoubleAvx2>}};
  return &kernels;
}
}  // namespace longformer::cpu

#else  // another architecture, or a compiler without it
namespace longformer::cpu {
const FewRowsKernels* few_rows_kernels_avx2() {
  return nullptr;
}
}  // namespace longformer::cpu
#endif
