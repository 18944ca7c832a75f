// LayerNorm for portable; see row_norm.h.
#include "norm_problem.h"

#include "vec_portable.h"

#include "row_norm.h"

namespace longformer::cpu {
const NormKernels* norm_kernels_portable() {
  static constexpr NormKernels kernels = {
      {norm_rows<FloatPortable>, norm_rows<DoublePortable>},
      {norm_rows_backward<FloatPortable>, norm_rows_backward<DoublePortable>}};
  return &kernels;
}
}  // namespace longformer::cpu
