#include "support.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace longformer::test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

int64_t count(IntList shape) {
  int64_t n = 1;
  for (int64_t size : shape) n *= size;
  return n;
}

template <class T>
Tensor made_of(const std::vector<T>& values, IntList shape, ScalarType type) {
  LONGFORMER_CHECK(static_cast<int64_t>(values.size()) == count(shape), values.size(), " values for ", shape);
  const Tensor t = empty(shape, type);
  if (!values.empty()) std::copy(values.begin(), values.end(), t.data_ptr<T>());
  return t;
}

template <class T>
std::vector<T> read(const Tensor& t, ScalarType type) {
  const Tensor dense = t.to(type).contiguous();
  const T* data = dense.data_ptr<T>();
  return dense.numel() == 0 ? std::vector<T>() : std::vector<T>(data, data + dense.numel());
}

OptionalTensor if_defined(const Tensor& t) {
  return t.defined() ? OptionalTensor(t) : std::nullopt;
}

}  // namespace

// --- tensors and the host

Doubles values(const Tensor& t) {
  return read<double>(t, kDouble);
}

std::vector<int64_t> integers(const Tensor& t) {
  return read<int64_t>(t, kLong);
}

double item(const Tensor& t) {
  const Doubles all = values(t);
  LONGFORMER_CHECK(all.size() == 1, "one element was expected, given ", t.sizes());
  return all[0];
}

Tensor tensor_of(const Doubles& values, IntList shape, ScalarType type) {
  return made_of(values, shape, kDouble).to(type);
}

Tensor integer_tensor(const std::vector<int64_t>& values, IntList shape) {
  return made_of(values, shape, kLong);
}

Doubles rounded(const Doubles& x, ScalarType type) {
  if (type == kDouble || x.empty()) return x;
  if (type == kFloat) {
    const std::vector<float> narrow(x.begin(), x.end());
    return {narrow.begin(), narrow.end()};
  }
  return values(tensor_of(x, {static_cast<int64_t>(x.size())}, type));
}

int64_t count_nonzero(const Tensor& t) {
  const Doubles all = values(t);
  return std::count_if(all.begin(), all.end(), [](double v) { return v != 0.0; });
}

int64_t uniform(Rng& rng, int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(rng);
}

bool chance(Rng& rng, double probability) {
  return std::uniform_real_distribution<>()(rng) < probability;
}

Tensor random_tensor(Rng& rng, IntList shape, ScalarType type, double deviation) {
  Doubles data(static_cast<size_t>(count(shape)));
  std::normal_distribution<double> normal(0.0, deviation);
  std::generate(data.begin(), data.end(), [&] { return normal(rng); });
  return tensor_of(data, shape, type);
}

Tensor random_integers(Rng& rng, IntList shape, int64_t low, int64_t high) {
  std::vector<int64_t> data(static_cast<size_t>(count(shape)));
  std::generate(data.begin(), data.end(), [&] { return uniform(rng, low, high); });
  return integer_tensor(data, shape);
}

Matrix matrix(int64_t rows, int64_t columns, double value) {
  return {rows, columns, Doubles(static_cast<size_t>(rows * columns), value)};
}

Matrix matrix_of(const Tensor& t) {
  const int64_t columns = t.size(-1);
  return {columns == 0 ? 0 : t.numel() / columns, columns, values(t)};
}

Matrix transposed(const Matrix& m) {
  Matrix result = matrix(m.columns, m.rows);
  for (int64_t r = 0; r < m.rows; ++r)
    for (int64_t c = 0; c < m.columns; ++c) result.at(c, r) = m.at(r, c);
  return result;
}

Matrix product(const Matrix& a, const Matrix& b) {
  LONGFORMER_CHECK(a.columns == b.rows, "product of ", a.rows, " x ", a.columns, " and ", b.rows, " x ",
                   b.columns);
  Matrix result = matrix(a.rows, b.columns);
  for (int64_t r = 0; r < a.rows; ++r)
    for (int64_t i = 0; i < a.columns; ++i)
      for (int64_t c = 0; c < b.columns; ++c) result.at(r, c) += a.at(r, i) * b.at(i, c);
  return result;
}

Tensor tensor_of(const Matrix& m, IntList shape, ScalarType type) {
  return tensor_of(m.data, shape, type);
}

// --- banded attention

BandedOptions options_of(const Problem& p, const std::vector<int64_t>& offsets,
                         const std::string& implementation) {
  BandedOptions o;
  o.window_left = p.window_left;
  o.window_right = p.window_right;
  if (p.dilation) o.dilation = *p.dilation;
  o.mask = if_defined(p.mask);
  o.global_index = if_defined(p.global_index);
  if (p.packed) o.sequence_offsets = offsets;
  o.scale = p.scale;
  o.dropout = p.dropout;
  o.seed = p.seed;
  o.implementation = implementation;
  return o;
}

std::tuple<Tensor, Tensor> banded_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                            const BandedOptions& o, Way way) {
  return call_with<std::tuple<Tensor, Tensor>>(o, way, "banded_attention", q, k, v);
}

std::tuple<Tensor, Tensor, Tensor> banded_attention_backward(const Tensor& grad_out, const Tensor& q,
                                                             const Tensor& k, const Tensor& v,
                                                             const Tensor& out, const Tensor& lse,
                                                             const BandedOptions& o, Way way) {
  return call_with<std::tuple<Tensor, Tensor, Tensor>>(o, way, "banded_attention_backward", grad_out, q, k, v,
                                                       out, lse);
}

std::tuple<Tensor, Tensor> forward(const Problem& p, const std::string& implementation, Way way) {
  const auto offsets = p.offsets();
  return banded_attention(p.q, p.k, p.v, options_of(p, offsets, implementation), way);
}

Result run(const Problem& p, const std::string& implementation, Way way) {
  const auto offsets = p.offsets();
  const BandedOptions options = options_of(p, offsets, implementation);
  const auto [out, lse] = banded_attention(p.q, p.k, p.v, options, way);
  const auto [grad_q, grad_k, grad_v] =
      banded_attention_backward(p.grad_out, p.q, p.k, p.v, out, lse, options, way);
  return {out, lse, grad_q, grad_k, grad_v};
}

Tensor banded_probabilities(const Problem& p, Way way) {
  const auto offsets = p.offsets();
  BandedProbabilityOptions o;
  static_cast<AttentionOptions&>(o) = options_of(p, offsets, "chunks");
  return call_with<Tensor>(o, way, "banded_attention_probabilities", p.q, p.k);
}

// --- global attention

Tensor global_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& index,
                        const GlobalOptions& o, Way way) {
  return call_with<Tensor>(o, way, "global_attention", q, k, v, index);
}

Tensor global_probabilities(const Tensor& q, const Tensor& k, const Tensor& index,
                            const AttentionOptions& options, Way way) {
  GlobalProbabilityOptions o;
  static_cast<AttentionOptions&>(o) = options;
  return call_with<Tensor>(o, way, "global_attention_probabilities", q, k, index);
}

Tensor folded_global_attention(const Tensor& q, const Tensor& hidden, const Tensor& key_weight,
                               const OptionalTensor& key_bias, const Tensor& value_weight,
                               const OptionalTensor& value_bias, const Tensor& index, const GlobalOptions& o,
                               Way way) {
  return call_with<Tensor>(o, way, "folded_global_attention", q, hidden, key_weight, key_bias, value_weight,
                           value_bias, index);
}

// --- comparing

double max_difference(const Tensor& x, const Tensor& y) {
  if (x.sizes() != y.sizes()) return infinity;
  const Doubles a = values(x), b = values(y);
  double result = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i]) continue;
    const double difference = std::abs(a[i] - b[i]);
    result = std::isnan(difference) ? infinity : std::max(result, difference);
  }
  return result;
}

double max_magnitude(const Tensor& x) {
  double result = 0.0;
  for (double v : values(x)) result = std::max(result, std::abs(v));
  return result;
}

::testing::AssertionResult as_good_as(const Tensor& x, const Tensor& baseline, const Tensor& truth,
                                      ScalarType type, double terms) {
  // Rounding of a result, of a sum of a few hundred terms in the wide types.
  const double rounding = type == kDouble ? 1e-14 : type == kFloat ? 2e-6 : type == kHalf ? 0x1p-10 : 0x1p-7;
  const double allowed =
      2.0 * max_difference(baseline, truth) + rounding * std::max({max_magnitude(truth), terms, 1e-3});
  const double error = max_difference(x, truth);
  if (x.scalar_type() != type) return ::testing::AssertionFailure() << "dtype " << x.scalar_type();
  if (error <= allowed) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << "error " << error << ", allowed " << allowed << ", largest value " << max_magnitude(truth);
}

void expect_finite_differences(const std::vector<Tensor>& inputs, const std::vector<Tensor>& gradients,
                               const std::function<double()>& loss, double tolerance, int64_t samples) {
  ASSERT_EQ(inputs.size(), gradients.size());
  const double step = 1e-5;
  Rng rng(1);
  for (size_t n = 0; n < inputs.size(); ++n) {
    const Tensor& input = inputs[n];
    ASSERT_TRUE(input.scalar_type() == kDouble && input.is_contiguous()) << "input " << n;
    ASSERT_EQ(gradients[n].sizes(), input.sizes()) << "input " << n;
    const Doubles gradient = values(gradients[n]);
    const int64_t elements = input.numel();
    for (int64_t sample = 0; sample < std::min(samples, elements); ++sample) {
      const int64_t i = samples < elements ? uniform(rng, 0, elements - 1) : sample;
      double& x = input.data_ptr<double>()[i];
      const double before = x;
      x = before + step;
      const double up = loss();
      x = before - step;
      const double down = loss();
      x = before;
      ASSERT_NEAR(gradient[static_cast<size_t>(i)], (up - down) / (2 * step), tolerance)
          << "input " << n << " at " << i;
    }
  }
}

void expect_words(const std::string& message, const std::vector<std::string>& words) {
  for (const std::string& w : words)
    EXPECT_TRUE(message.find(w) != std::string::npos) << "'" << w << "' not in: " << message;
}

}  // namespace longformer::test
