// Brings the table and the biases of relative positions into the form that the kernels read.
#include "driver.h"

namespace longformer::cpu {

void fill_relative(BandProblem& p, RelativeTables& tables, const BandedAttention& a, bool backward) {
  if (!a.relative.defined()) return;
  const TensorOptions wide = a.q.options().dtype(p.element == Element::float64 ? kDouble : kFloat);
  p.relative = rows_of(a.relative);
  p.relative_count = a.relative.size(0);
  p.relative_zero = a.relative_zero;
  p.relative_tiles = (p.window_left + 1 + p.window_right + kBlock - 1) / kBlock;
  const auto tiles = [&] { return empty({p.heads, p.relative_tiles, kBlock * p.padded_dim}, wide); };
  tables.columns = tiles();
  p.relative_columns = tables.columns.data_ptr();
  if (backward) {
    tables.rows = tiles();
    p.relative_rows = tables.rows.data_ptr();
  }
  const BandKernels* kernels = kernels_of(a);
  const int type = compute_index(p.element);
  const auto bias = [&](const Tensor& given, Tensor& to) {
    to = zeros({p.heads, p.padded_dim}, wide);
    if (given.defined()) {
      const Rows rows = {given.data_ptr(), 0, p.dim};
      for (int64_t h = 0; h < p.heads; ++h) kernels->prepare_bias[type](p, rows, h, to.data_ptr());
    }
    return to.data_ptr();
  };
  p.content_bias = bias(a.content_bias, tables.content_bias);
  p.position_bias = bias(a.position_bias, tables.position_bias);
  const size_t bytes = kBlock * p.padded_dim * compute_size(p.element);
  for_each_unit(p.heads * p.relative_tiles, [&](int64_t i) {
    kernels->prepare_relative[type](p, i / p.relative_tiles, i % p.relative_tiles, thread_scratch(bytes));
  });
}

}  // namespace longformer::cpu
