// The gradient of a table of vectors on a CPU.
#pragma once
#include "../../base/tensor.h"

namespace longformer::cpu {

// Adds row n of rows [N, C] to row ids[n] of the table [R, C], unless that is `padding`. The table is
// contiguous; the rows are float64 for a table of float64, else float32.
// Rows are added in their order, whatever the number of threads.
void add_rows(const Tensor& table, const Tensor& ids, const Tensor& rows, int64_t padding);

}  // namespace longformer::cpu
