// Token-by-token decoding for portable; see few_rows.h and decode_attention.h.
#include "decode_problem.h"

#include "vec_portable.h"

#include "decode_attention.h"
#include "few_rows.h"

namespace longformer::cpu {
const DecodeKernels* decode_kernels_portable() {
  static constexpr DecodeKernels kernels = {few_rows<FloatPortable>,
                                            {attend_chunk<FloatPortable>, attend_chunk<DoublePortable>}};
  return &kernels;
}
}  // namespace longformer::cpu
