// _pooled_tokens by CUDA kernels.
#pragma once
#include "launcher.h"

namespace longformer::cuda {

constexpr int64_t kMostPoolColumns = 1024;

// Whether the kernels serve the tensors: float32 queries of at most kMostPoolColumns columns, tokens in
// float32, bfloat16 or float16.
bool pool_serves(const Tensor& queries, const Tensor& hidden);

// queries [S, R, C], hidden [N, C], mask [N] or undefined, offsets [S+1] -> [S, R, C].
Tensor pool_tokens(const Tensor& queries, const Tensor& hidden, const Tensor& mask, IntList offsets,
                   Launcher& launcher);

KernelText pool_text(int type, int64_t columns, bool aligned);

// The resources of a block, as in PoolConfig, which only the kernels' compiler sees.
size_t pool_shared_bytes(int type, int64_t columns);

}  // namespace longformer::cuda
