// The gradient of a table of vectors on a CPU.
#pragma once
#include "../../base/tensor.h"

namespace longformer::cpu {

// Adds row n of rows to row ids[n] of the table, unless that is `padding`: float32 or float64 [R, C] and [N,
// C], the table contiguous.
// Rows are added in their order, whatever the number of threads.
void add_rows(const Tensor& table, const Tensor& ids, const Tensor& rows, int64_t padding);

}  // namespace longformer::cpu
