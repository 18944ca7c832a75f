// fused on a CUDA device: the kernels of this folder (float32, bfloat16, float16; at most 128 dimensions;
// from compute capability 8.0 on), else chunks.
#pragma once
#include "../banded_attention.h"

namespace longformer {

BandedForward banded_attention_fused_cuda(const BandedAttention& a);
BandedBackward banded_attention_fused_cuda_backward(const BandedAttention& a, const Tensor& grad_out,
                                                    const Tensor& out, const Tensor& lse);

}  // namespace longformer
