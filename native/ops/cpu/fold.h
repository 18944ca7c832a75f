// The projections of global tokens folded around the pooling of tokens (global_attention.cpp), on a CPU: both
// weights are read once, in their own type.
#pragma once
#include "../../base/tensor.h"

namespace longformer::cpu {

// Whether these kernels take a weight [heads * D, C] of the query's type.
bool folds(const Tensor& query, const Tensor& weight);
// query [S, G, H, D] times scale and the weight [H * D, C] of its type: float32 [S, H, G, C].
Tensor fold_query(const Tensor& query, double scale, const Tensor& weight);
// pooled float32 [S, H, G, C] times the weight [H * D, C], and the bias [H * D] of its type, which may be
// undefined: [S, G, H, D] of that type.
Tensor unfold_pooled(const Tensor& pooled, const Tensor& weight, const Tensor& bias);

}  // namespace longformer::cpu
