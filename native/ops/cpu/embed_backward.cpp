#include "embed_backward.h"

#include <algorithm>
#include <vector>

#include "driver.h"
#include "vec_portable.h"

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

// To a table of 16 bits: the rows that the tokens took are summed in float32 first, so that each is rounded
// once.
void add_narrow(const Tensor& table, const int64_t* ids, const Tensor& rows, int64_t padding) {
  const int64_t tokens = rows.size(0), columns = rows.size(1);
  std::vector<int64_t> place_of(static_cast<size_t>(table.size(0)), -1), places(static_cast<size_t>(tokens)),
      taken;
  for (int64_t n = 0; n < tokens; ++n) {
    int64_t& place = place_of[static_cast<size_t>(ids[n])];
    if (place < 0 && ids[n] != padding) {
      place = static_cast<int64_t>(taken.size());
      taken.push_back(ids[n]);
    }
    places[static_cast<size_t>(n)] = place;
  }
  const Tensor sums = zeros({static_cast<int64_t>(taken.size()), columns}, kFloat);
  add<float>(sums, places.data(), rows, -1);
  const bool brain = table.scalar_type() == kBFloat16;
  const float* const from = sums.data_ptr<const float>();
  auto* const to = static_cast<uint16_t*>(table.data_ptr());
  for_each_unit(static_cast<int64_t>(taken.size()), [&](int64_t place) {
    const float* const sum = from + place * columns;
    uint16_t* const row = to + taken[static_cast<size_t>(place)] * columns;
    for (int64_t c = 0; c < columns; ++c)
      row[c] = brain ? float_to_bfloat16(bfloat16_to_float(row[c]) + sum[c])
                     : float_to_half(half_to_float(row[c]) + sum[c]);
  });
}

}  // namespace

void add_rows(const Tensor& table, const Tensor& ids, const Tensor& rows, int64_t padding) {
  const Tensor index = ids.contiguous(), source = rows.contiguous();
  const int64_t* const id = index.data_ptr<int64_t>();
  if (table.scalar_type() == kDouble)
    add<double>(table, id, source, padding);
  else if (table.scalar_type() != kFloat)
    add_narrow(table, id, source, padding);
  else
    add<float>(table, id, source, padding);
}

}  // namespace longformer::cpu
