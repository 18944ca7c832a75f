#include "gelu_linear.h"

#if defined(LONGFORMER_HAS_ONEDNN)

#include <ATen/Parallel.h>

#include <algorithm>

#include "driver.h"
#include "gelu.h"

namespace longformer::cpu {
namespace {

// A piece of 256 x 768 is as large as a core's second-level cache takes (0.8 MB of float32), and large enough
// for oneDNN to multiply it at full speed. Narrower ones are made where many threads need work.
constexpr int64_t kRows = 256, kMostColumns = 768, kLeastColumns = 192, kPiecesPerThread = 4;
// Every layout's columns lie in groups of at most so many.
constexpr int64_t kColumnGroup = 64;

int64_t parts_of(int64_t count, int64_t size) {
  return (count + size - 1) / size;
}

// [begin, end) of part `index` of `parts` nearly equal ones of `count` in steps.
struct Range {
  int64_t begin, end;
};
Range part_of(int64_t count, int64_t step, int64_t parts, int64_t index) {
  const int64_t steps = parts_of(count, step);
  return {std::min(count, steps * index / parts * step), std::min(count, steps * (index + 1) / parts * step)};
}

}  // namespace

bool multiply_with_gelu(const Product& p, Element element) {
  const GeluRows gelu = gelu_rows(active_isa());
  if (gelu == nullptr || p.activation != Activation::gelu || !p.packed || p.residual != nullptr) return false;
  const int64_t threads = at::get_num_threads(), row_parts = parts_of(p.rows, kRows);
  int64_t columns = kMostColumns;
  while (columns > kLeastColumns && row_parts * parts_of(p.outputs, columns) < threads * kPiecesPerThread)
    columns -= kColumnGroup;
  const int64_t column_parts = parts_of(p.outputs, columns), pieces = row_parts * column_parts;
  if (pieces < threads) return false;
  const int64_t size = p.type == ProductType::bfloat16 ? 2 : 4, bytes = element == Element::float32 ? 4 : 2;
  const auto piece_of = [&](int64_t index) {
    const Range r = part_of(p.rows, 1, row_parts, index / column_parts),
                c = part_of(p.outputs, kColumnGroup, column_parts, index % column_parts);
    Product piece = p;
    piece.rows = r.end - r.begin;
    piece.outputs = c.end - c.begin;
    piece.input = static_cast<const char*>(p.input) + r.begin * p.inputs * size;
    piece.weight = packed_columns(p.weight, p.inputs, p.outputs, p.type, c.begin, piece.outputs);
    if (p.bias != nullptr) piece.bias = static_cast<const char*>(p.bias) + c.begin * size;
    piece.activation = Activation::none;
    piece.output = static_cast<char*>(p.output) + (r.begin * p.outputs + c.begin) * bytes;
    return piece;
  };
  for (int64_t i = 0; i < column_parts; ++i) {
    const Product piece = piece_of(i);
    if (piece.weight == nullptr || !can_multiply_alone(piece)) return false;
  }
  for_each_unit(pieces, [&](int64_t i) {
    const Product piece = piece_of(i);
    gelu(gelu_table(), multiply_alone(piece), piece.rows, piece.outputs, piece.output, p.outputs, element);
  });
  return true;
}

}  // namespace longformer::cpu

#endif  // LONGFORMER_HAS_ONEDNN
