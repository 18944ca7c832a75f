// hidden_dropout for portable; see drop_elements.h.
#include "hidden_keep.h"

#include "vec_portable.h"

#include "drop_elements.h"

namespace longformer::cpu {
const DropKernels* drop_kernels_portable() {
  return &drop_kernels;
}
}  // namespace longformer::cpu
