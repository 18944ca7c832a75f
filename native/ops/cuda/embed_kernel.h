// embed by a CUDA kernel.
#pragma once
#include "../operators.h"
#include "launcher.h"

namespace longformer::cuda {

// Whether the kernel serves it: tables of one type, float32, bfloat16 or float16, contiguous, with rows of
// whole 16-byte chunks and at most kMostNormColumns.
bool serves(const Embedding& e);

Tensor embed(const Embedding& e, Launcher& launcher);

KernelText embed_text(int type, int64_t columns);

}  // namespace longformer::cuda
