// Until the kernels of cpu/ are merged, "fused" refuses; this file goes away with that merge.
#include <c10/util/Exception.h>

#include "banded_attention.h"

namespace longformer {

BandedForward banded_attention_fused_cpu(const BandedAttention&) {
  TORCH_CHECK_NOT_IMPLEMENTED(false, "longformer::banded_attention: implementation \"fused\" is not in this build");
}
BandedBackward banded_attention_fused_cpu_backward(const BandedAttention&, const at::Tensor&, const at::Tensor&,
                                                   const at::Tensor&) {
  TORCH_CHECK_NOT_IMPLEMENTED(false, "longformer::banded_attention: implementation \"fused\" is not in this build");
}

}  // namespace longformer
