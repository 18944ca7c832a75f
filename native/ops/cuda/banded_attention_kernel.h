// banded_attention by the CUDA kernels: what is launched for a problem. The launcher decides what runs it.
#pragma once
#include "../banded_attention.h"
#include "launcher.h"

namespace longformer::cuda {

// kFloat32, kBFloat16 or kFloat16 of the kernels.
int type_of(const Tensor& t);

// Whether the kernels serve a problem: float32, bfloat16 or float16, heads of at most 128 dimensions, and
// fewer than 2^30 tokens. Chunks takes everything else.
bool serves(const BandedAttention& a);

BandedForward banded_forward(const BandedAttention& a, Launcher& launcher);
BandedBackward banded_backward(const BandedAttention& a, const Tensor& grad_out, const Tensor& out,
                               const Tensor& lse, Launcher& launcher);

}  // namespace longformer::cuda
