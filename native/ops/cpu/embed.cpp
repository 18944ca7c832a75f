// longformer::embed on a CPU: rows are gathered, added and normalized some at a time, while they are in the
// cache. The sums before the normalization are rounded to the tables' type where libtorch's operators,
// one after the other, would round them.

#include <cstring>
#include <type_traits>

#include "../operators.h"
#include "driver.h"
#include "norm_problem.h"
#include "vec_portable.h"

namespace longformer {

using namespace cpu;

namespace {

constexpr int64_t kRowsAtOnce = 32;

// Numbers of 16 bits, as they are in memory.
struct BFloat16 {
  uint16_t bits;
  explicit BFloat16(float f) : bits(float_to_bfloat16(f)) {}
  explicit operator float() const { return bfloat16_to_float(bits); }
};
struct Half {
  uint16_t bits;
  explicit Half(float f) : bits(float_to_half(f)) {}
  explicit operator float() const { return half_to_float(bits); }
};

bool by_kernel(const Embedding& e) {
  const auto type = e.words.table.scalar_type();
  const bool known = type == kFloat || type == kDouble || type == kBFloat16 || type == kHalf;
  const auto fits = [&](const Tensor& t) { return !t.defined() || t.scalar_type() == type; };
  return known && fits(e.positions.table) && fits(e.types.table) && fits(e.weight) && fits(e.bias);
}

// Whether a type holds the number as it is. Where not, libtorch's versions differ on when they round it, and
// its own product is taken.
bool is_exact(double number, ScalarType type) {
  if (type == kBFloat16) return float(BFloat16(static_cast<float>(number))) == number;
  if (type == kHalf) return float(Half(static_cast<float>(number))) == number;
  return true;
}

// A table's rows by token, for the kernel.
class RowReader {
 public:
  explicit RowReader(const TokenRows& rows) {
    if (!rows.table.defined()) return;
    table_ = rows.table.contiguous();
    count_ = table_.size(0);
    bytes_ = table_.size(1) * table_.element_size();
    if (rows.ids.defined()) ids_ = rows.ids.contiguous();
  }
  const void* row(int64_t token) const {
    const int64_t row = ids_.defined() ? ids_.data_ptr<int64_t>()[token] : token % count_;
    return static_cast<const char*>(table_.data_ptr()) + row * bytes_;
  }
  bool any() const { return table_.defined(); }
  size_t bytes() const { return static_cast<size_t>(bytes_); }

 private:
  Tensor table_, ids_;
  int64_t count_ = 0, bytes_ = 0;
};

template <class T>
using ComputeType = std::conditional_t<std::is_same<T, double>::value, double, float>;

template <class T>
void scale_row(void* __restrict to, const void* __restrict row, double scale, int64_t columns) {
  using S = ComputeType<T>;
  const T* x = static_cast<const T*>(row);
  for (int64_t i = 0; i < columns; ++i)
    static_cast<T*>(to)[i] = static_cast<T>(static_cast<S>(x[i]) * static_cast<S>(scale));
}

template <class T>
void add_rows(void* __restrict to, const void* __restrict first, const void* __restrict second,
              int64_t columns) {
  using S = ComputeType<T>;
  const T *x = static_cast<const T*>(first), *y = static_cast<const T*>(second);
  for (int64_t i = 0; i < columns; ++i)
    static_cast<T*>(to)[i] = static_cast<T>(static_cast<S>(x[i]) + static_cast<S>(y[i]));
}

struct RowFunctions {
  void (*scale)(void*, const void*, double, int64_t);
  void (*add)(void*, const void*, const void*, int64_t);
};
template <class T>
constexpr RowFunctions functions_of() {
  return {&scale_row<T>, &add_rows<T>};
}
RowFunctions functions_of(Element element) {
  switch (element) {
    case Element::float64:
      return functions_of<double>();
    case Element::bfloat16:
      return functions_of<BFloat16>();
    case Element::float16:
      return functions_of<Half>();
    default:
      return functions_of<float>();
  }
}

Tensor embed(const Tensor& words, const OptionalTensor& word_ids, const Tensor& positions,
             const OptionalTensor& position_ids, const OptionalTensor& types, const OptionalTensor& type_ids,
             const Tensor& weight, const Tensor& bias, double eps, double word_scale, int64_t word_padding,
             int64_t position_padding) {
  Embedding e = check_embed("embed", words, word_ids, positions, position_ids, types, type_ids, weight, bias,
                            eps, word_scale, word_padding, position_padding);
  if (!by_kernel(e)) return embed_by_aten(e);
  if (!is_exact(word_scale, words.scalar_type())) {
    const Tensor rows = e.words.ids.defined() ? embedding(e.words.table, e.words.ids) : e.words.table;
    e.words = {e.words.name, rows * word_scale, Tensor()};
    e.word_scale = 1.0;
  }
  const int64_t columns = words.size(1);
  const Tensor out = empty({e.tokens, columns}, words.options());
  if (out.numel() == 0) return out;
  const RowReader word(e.words), position(e.positions), type(e.types);
  // Two of the three are added here, the last by LayerNorm's kernel.
  const RowReader& last = type.any() ? type : position;
  NormProblem p;
  p.element = element_of(words);
  p.columns = p.input_stride = p.residual_stride = columns;
  p.padded_columns = (columns + 15) / 16 * 16;
  p.eps = eps;
  const Tensor w = weight.contiguous(), b = bias.contiguous();
  p.weight = w.data_ptr();
  p.bias = b.data_ptr();
  const RowFunctions row_functions = functions_of(p.element);
  const auto kernel = norm_kernels(active_isa())->rows[compute_index(p.element)];
  const size_t row_bytes = word.bytes(), rows_bytes = (kRowsAtOnce * row_bytes + 63) / 64 * 64,
               norm_bytes = 4 * static_cast<size_t>(p.padded_columns) * compute_size(p.element);
  for_each_unit((e.tokens + kRowsAtOnce - 1) / kRowsAtOnce, [&](int64_t i) {
    char* const sums = static_cast<char*>(thread_scratch(2 * rows_bytes + norm_bytes));
    char* const others = sums + rows_bytes;
    const int64_t first = i * kRowsAtOnce, count = std::min(kRowsAtOnce, e.tokens - first);
    for (int64_t r = 0; r < count; ++r) {
      char *const sum = sums + r * row_bytes, *const other = others + r * row_bytes;
      const void* scaled_word = word.row(first + r);
      if (e.word_scale != 1.0) {
        row_functions.scale(other, scaled_word, e.word_scale, columns);
        scaled_word = other;
      }
      if (type.any())
        row_functions.add(sum, scaled_word, position.row(first + r), columns);
      else
        std::memcpy(sum, scaled_word, row_bytes);
      std::memcpy(other, last.row(first + r), row_bytes);
    }
    NormProblem part = p;
    part.input = sums;
    part.residual = others;
    part.output = static_cast<char*>(out.data_ptr()) + first * row_bytes;
    kernel(part, 0, count, others + rows_bytes);
  });
  return out;
}

}  // namespace

LONGFORMER_REGISTER(r) {
  r.impl<embed>(torch::Key::cpu, "embed");
}

}  // namespace longformer
