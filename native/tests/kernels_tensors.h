// Random tensors and comparisons of the kernels_* tests, over support.h.
#pragma once
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "library.h"
#include "support.h"

namespace longformer::test {

// The generator of all random tensors below; each test that needs its own numbers seeds it.
inline Rng& generator() {
  static Rng rng(1);
  return rng;
}
inline void reseed(uint64_t value) {
  generator().seed(value);
}
inline Tensor randn(IntList shape, ScalarType type = kFloat) {
  return random_tensor(generator(), shape, type);
}
// bool, each true with that probability.
inline Tensor random_mask(IntList shape, double probability) {
  int64_t count = 1;
  for (int64_t size : shape) count *= size;
  Doubles data(static_cast<size_t>(count));
  std::generate(data.begin(), data.end(), [&] { return chance(generator(), probability) ? 1.0 : 0.0; });
  return tensor_of(data, shape, kBool);
}
// The elements from `begin` up to, without, `end`.
inline Tensor part(const Tensor& t, int64_t dimension, int64_t begin, int64_t end) {
  return t.narrow(dimension, begin, end - begin);
}

// The same shape, dtype and numbers; a NaN equals nothing.
inline bool equal(const Tensor& x, const Tensor& y) {
  return x.sizes() == y.sizes() && x.scalar_type() == y.scalar_type() && values(x) == values(y);
}
inline bool all_of(const Tensor& t) {
  const Doubles v = values(t);
  return std::all_of(v.begin(), v.end(), [](double x) { return x != 0; });
}
inline bool any_of(const Tensor& t) {
  return count_nonzero(t) != 0;
}
// Not a number but in both: infinity; of no elements: 0.
inline double largest_difference(const Tensor& x, const Tensor& y) {
  return max_difference(x, y);
}
inline std::string name_of(ScalarType type) {
  return text(type);
}

// a[r, h, d] . b[l, h, d] of each head: [h, r, l].
inline Tensor scores_by_head(const Tensor& a, const Tensor& b) {
  return matmul(a.transpose(0, 1).contiguous(), b.permute({1, 2, 0}).contiguous());
}
// p[h, r, l] of values v[l, h, d]: [r, h, d].
inline Tensor mix_by_head(const Tensor& p, const Tensor& v) {
  return matmul(p, v.transpose(0, 1).contiguous()).transpose(0, 1).contiguous();
}

// Another number of threads, on this thread and for operators, as long as it lives.
class Threads {
 public:
  explicit Threads(int threads) : before_(api().get_threads()) { set(threads); }
  ~Threads() { set(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  static void set(int threads) {
    EXPECT_EQ(api().set_threads(threads), LONGFORMER_OK);
    api().apply_threads();
  }
  int before_;
};

// The activation of each element of a float64 tensor.
inline Tensor activated(const Tensor& x, const std::string& activation) {
  Tensor y = x.contiguous().clone();
  double* const values = y.data_ptr<double>();
  for (int64_t i = 0; i < y.numel(); ++i) {
    double& v = values[i];
    if (activation == "gelu") v = 0.5 * v * (1 + std::erf(v * std::sqrt(0.5)));
    if (activation == "gelu_tanh")
      v = 0.5 * v * (1 + std::tanh(std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v)));
    if (activation == "relu") v = std::max(v, 0.0);
    if (activation == "tanh") v = std::tanh(v);
    if (activation == "silu") v = v / (1 + std::exp(-v));
  }
  return y;
}

}  // namespace longformer::test
