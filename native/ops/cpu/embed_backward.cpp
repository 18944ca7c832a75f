#include "embed_backward.h"

#include <algorithm>

#include "driver.h"

namespace longformer::cpu {
namespace {

// Columns that a thread adds for all tokens: whole cache lines.
constexpr int64_t kColumnsAtOnce = 64;

template <class S>
void add(const Tensor& table, const int64_t* ids, const Tensor& rows, int64_t padding) {
  const int64_t tokens = rows.size(0), columns = rows.size(1);
  const S* const from = rows.data_ptr<S>();
  S* const to = table.data_ptr<S>();
  for_each_unit((columns + kColumnsAtOnce - 1) / kColumnsAtOnce, [&](int64_t unit) {
    const int64_t first = unit * kColumnsAtOnce, last = std::min(columns, first + kColumnsAtOnce);
    for (int64_t n = 0; n < tokens; ++n) {
      if (ids[n] == padding) continue;
      for (int64_t c = first; c < last; ++c) to[ids[n] * columns + c] += from[n * columns + c];
    }
  });
}

}  // namespace

void add_rows(const Tensor& table, const Tensor& ids, const Tensor& rows, int64_t padding) {
  const Tensor index = ids.contiguous(), source = rows.contiguous();
  const int64_t* const id = index.data_ptr<int64_t>();
  if (table.scalar_type() == kDouble)
    add<double>(table, id, source, padding);
  else
    add<float>(table, id, source, padding);
}

}  // namespace longformer::cpu
