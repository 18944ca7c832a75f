// The attention kernels for portable; see band_problem.h. This file alone decides the vector type.
#include "band_problem.h"

#include "vec_portable.h"

#include "band_backward.h"
#include "band_forward.h"

namespace longformer::cpu {
const BandKernels* band_kernels_portable() {
  static constexpr BandKernels kernels = {{forward_unit<FloatPortable>, forward_unit<DoublePortable>},
                                          {backward_unit<FloatPortable>, backward_unit<DoublePortable>},
                                          {merge_local<FloatPortable>, merge_local<DoublePortable>},
                                          {merge_global<FloatPortable>, merge_global<DoublePortable>},
                                          {prepare_relative<FloatPortable>, prepare_relative<DoublePortable>},
                                          {prepare_bias<FloatPortable>, prepare_bias<DoublePortable>},
                                          {merge_relative<FloatPortable>, merge_relative<DoublePortable>},
                                          {merge_biases<FloatPortable>, merge_biases<DoublePortable>}};
  return &kernels;
}
}  // namespace longformer::cpu
