// Products with weights of eight bits, two int16 in a cell, for portable; see product_int8.h.
#include "product_problem.h"

#include "vec_portable.h"

#include "product_int8.h"

namespace longformer::cpu {
const ProductKernels* product_kernels_shorts_portable() {
  static constexpr ProductKernels kernels = {
      nullptr, multiply_unit<FloatPortable, Int8Cells<FloatPortable, Shorts<FloatPortable>>>, nullptr,
      nullptr};
  return &kernels;
}
}  // namespace longformer::cpu
