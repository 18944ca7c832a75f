// Random problems of banded attention.
#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

#include "support.h"

namespace longformer::test {
namespace {

int64_t random_window(Rng& rng, int64_t longest) {
  switch (uniform(rng, 0, 5)) {
    case 0:
      return 0;
    case 1:
      return 1;
    case 2:
      return uniform(rng, 2, 9);
    case 3:
      return uniform(rng, 10, 90);
    case 4:
      return longest + uniform(rng, 0, 50);
    default:
      return chance(rng, 0.2) ? std::numeric_limits<int64_t>::max() : uniform(rng, 1, 40);
  }
}

Tensor random_mask(Rng& rng, const Problem& p) {
  const auto offsets = p.offsets();
  const int64_t kind = uniform(rng, 0, 4);  // 0: none
  if (kind == 0) return {};
  std::vector<int64_t> mask;
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    const int64_t length = offsets[s + 1] - offsets[s];
    const bool whole = kind == 3 && chance(rng, 0.5);
    const int64_t tail = kind == 1 ? uniform(rng, 0, length) : length;
    for (int64_t i = 0; i < length; ++i) {
      const bool visible = !whole && i < tail && !(kind == 2 && chance(rng, 0.3));
      mask.push_back(visible ? uniform(rng, 1, 3) : 0);
    }
  }
  const ScalarType types[] = {kBool, kByte, kLong};
  const int64_t sequences = static_cast<int64_t>(p.lengths.size());
  std::vector<int64_t> shape{offsets.back()};
  if (!p.packed) shape = {sequences, p.lengths[0]};
  return integer_tensor(mask, shape).to(types[uniform(rng, 0, 2)]);
}

Tensor random_globals(Rng& rng, const Problem& p) {
  const int64_t kind = uniform(rng, 0, 5), sequences = static_cast<int64_t>(p.lengths.size());
  if (kind <= 1) return {};
  std::vector<std::vector<int64_t>> rows;
  size_t width = chance(rng, 0.1) ? 3 : 0;
  for (int64_t length : p.lengths) {
    std::vector<int64_t> row;
    for (int64_t i = 0; i < length; ++i) {
      const bool take = kind == 2   ? i == 0
                        : kind == 3 ? chance(rng, 0.1)
                        : kind == 4 ? i < 70
                                    : i == length - 1 || i == length / 2;
      if (take) row.push_back(i);
    }
    width = std::max(width, row.size());
    rows.push_back(row);
  }
  std::vector<int64_t> index;
  for (std::vector<int64_t>& row : rows) {
    row.resize(width, -1);
    index.insert(index.end(), row.begin(), row.end());
  }
  return integer_tensor(index, {sequences, static_cast<int64_t>(width)});
}

}  // namespace

std::vector<int64_t> Problem::offsets() const {
  std::vector<int64_t> result{0};
  for (int64_t length : lengths) result.push_back(result.back() + length);
  return result;
}

int64_t Problem::dilation_of(int64_t head) const {
  return !dilation ? 1 : dilation->size() == 1 ? (*dilation)[0] : (*dilation)[static_cast<size_t>(head)];
}

double Problem::scale_value() const {
  return scale.has_value() ? *scale : 1.0 / std::sqrt(static_cast<double>(dim));
}

std::string Problem::describe() const {
  std::ostringstream s;
  s << (packed ? "packed" : "batch") << " lengths";
  for (int64_t length : lengths) s << ' ' << length;
  s << ", H " << heads << " D " << dim << ", window " << window_left << ' ' << window_right << ", dilation";
  if (dilation)
    for (int64_t d : *dilation) s << ' ' << d;
  s << ", mask " << (mask.defined() ? text(mask.scalar_type()) : "none") << ", globals "
    << (global_index.defined() ? global_index.size(1) : 0) << ", dropout " << dropout << ", "
    << q.scalar_type();
  return s.str();
}

void fill(Problem& p, Rng& rng, ScalarType type) {
  std::vector<int64_t> shape{p.tokens(), p.heads, p.dim};
  if (!p.packed) {
    shape[0] = p.lengths.empty() ? 0 : p.lengths[0];
    shape.insert(shape.begin(), static_cast<int64_t>(p.lengths.size()));
  }
  p.q = random_tensor(rng, shape, type, 2.0);
  p.k = random_tensor(rng, shape, type);
  p.v = random_tensor(rng, shape, type);
  p.grad_out = random_tensor(rng, shape, type);
}

Problem random_problem(uint64_t seed, ScalarType type) {
  Rng rng(seed * 7919 + 17);
  Problem p;
  const auto random_length = [&] {
    return chance(rng, 0.15)   ? uniform(rng, 100, 300)
           : chance(rng, 0.15) ? uniform(rng, 1, 3)
                               : uniform(rng, 4, 90);
  };
  p.packed = chance(rng, 0.5);
  const int64_t sequences = uniform(rng, 1, p.packed ? 4 : 3), length = random_length();
  for (int64_t s = 0; s < sequences; ++s)
    p.lengths.push_back(!p.packed          ? length
                        : chance(rng, 0.2) ? 0
                        : chance(rng, 0.3) ? length
                                           : random_length());
  p.heads = uniform(rng, 1, 5);
  const int64_t dims[] = {1, 3, 8, 16, 24, 32, 33, 64, 80, 128};
  p.dim = dims[uniform(rng, 0, 9)];
  p.window_left = random_window(rng, length);
  p.window_right = chance(rng, 0.4) ? p.window_left : random_window(rng, length);
  if (chance(rng, 0.5)) {
    const int64_t values = chance(rng, 0.3) ? 1 : p.heads;
    std::vector<int64_t> dilation;
    for (int64_t h = 0; h < values; ++h)
      dilation.push_back(chance(rng, 0.1) ? uniform(rng, 50, 400) : uniform(rng, 1, 5));
    p.dilation = dilation;
  }
  p.mask = random_mask(rng, p);
  p.global_index = random_globals(rng, p);
  if (chance(rng, 0.3)) p.scale = 0.3;
  if (chance(rng, 0.3)) p.dropout = 0.35;
  p.seed = uniform(rng, -1000, 1000);
  fill(p, rng, type);
  return p;
}

Problem small_problem() {
  Problem p;
  p.lengths = {11, 11};
  p.heads = 2;
  p.dim = 3;
  p.window_left = 2;
  p.window_right = 1;
  p.dilation = std::vector<int64_t>{1, 3};
  std::vector<int64_t> mask(22, 1);
  mask[4] = mask[21] = 0;
  p.mask = integer_tensor(mask, {2, 11});
  p.global_index = integer_tensor({0, 4, 7, 3, -1, -1}, {2, 3});
  p.scale = 0.7;
  p.dropout = 0.2;
  p.seed = 5;
  Rng rng(3);
  fill(p, rng, kDouble);
  return p;
}

}  // namespace longformer::test
