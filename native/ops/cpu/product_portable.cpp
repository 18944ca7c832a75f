// Matrix products for portable; see product.h.
#include "product_problem.h"

#include "vec_portable.h"

#include "fold_rows.h"
#include "product.h"

namespace longformer::cpu {
const ProductKernels* product_kernels_portable() {
  static constexpr ProductKernels kernels = {
      pack_panels<FloatPortable>, multiply_unit<FloatPortable>, activate_elements<FloatPortable>,
      activate_elements_backward<FloatPortable>, fold_rows<FloatPortable>};
  return &kernels;
}
}  // namespace longformer::cpu
