// decode_attention by CUDA kernels.
#pragma once
#include "../decode_attention.h"
#include "launcher.h"

namespace longformer::cuda {

// Whether the kernels serve a step: float32, bfloat16 or float16, heads of at most 128 dimensions.
bool serves(const DecodeAttention& a);

Tensor decode_attention(const DecodeAttention& a, Launcher& launcher);

KernelText decode_text(const char* kernel, int type, bool aligned);

}  // namespace longformer::cuda
