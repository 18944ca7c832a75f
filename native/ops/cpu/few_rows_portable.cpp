// Few rows at a time, for portable; see few_rows.h, decode_attention.h and pooled_tokens.h.
#include "few_rows_problem.h"

#include "vec_portable.h"

#include "decode_attention.h"
#include "few_rows.h"
#include "pooled_tokens.h"

namespace longformer::cpu {
const FewRowsKernels* few_rows_kernels_portable() {
  static constexpr FewRowsKernels kernels = {few_rows<FloatPortable>,
                                             {attend_chunk<FloatPortable>, attend_chunk<DoublePortable>},
                                             {pool_chunk<FloatPortable>, pool_chunk<DoublePortable>}};
  return &kernels;
}
}  // namespace longformer::cpu
