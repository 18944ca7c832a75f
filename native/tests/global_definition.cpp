#include "global_definition.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace longformer::test {
namespace {

// Queries, keys or values of one head: rows of D numbers, `stride` apart.
struct Rows {
  double* data;
  int64_t dim, stride;
  double* operator[](int64_t row) const { return data + row * stride; }
};

double dot(const double* a, const double* b, int64_t n) {
  double sum = 0.0;
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

void add(double* to, double factor, const double* from, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] += factor * from[i];
}

// Sums over the rows of [rows, columns].
Matrix column_sums(const Matrix& m) {
  Matrix sums = matrix(1, m.columns);
  for (int64_t r = 0; r < m.rows; ++r)
    for (int64_t c = 0; c < m.columns; ++c) sums.at(0, c) += m.at(r, c);
  return sums;
}

}  // namespace

GlobalOptions GlobalProblem::options() const {
  GlobalOptions o;
  if (mask.defined()) o.mask = mask;
  if (packed) o.sequence_offsets = offsets;
  o.dropout = dropout;
  o.seed = seed;
  return o;
}

std::vector<int64_t> GlobalProblem::token_shape() const {
  if (packed) return {offsets.back()};
  return {static_cast<int64_t>(lengths.size()), lengths[0]};
}

Tensor GlobalProblem::projected(const Tensor& weight, const Tensor& bias) const {
  std::vector<int64_t> shape = token_shape();
  shape.insert(shape.end(), {heads, dim});
  Matrix result = product(matrix_of(hidden), transposed(matrix_of(weight)));
  const Doubles b = bias.defined() ? values(bias) : Doubles(static_cast<size_t>(heads * dim));
  for (size_t e = 0; e < result.data.size(); ++e) result.data[e] += b[e % b.size()];
  return tensor_of(result, shape, hidden.scalar_type());
}

GlobalProblem random_global_problem(uint64_t seed, ScalarType type, int64_t most_globals) {
  Rng rng(seed);
  GlobalProblem p;
  p.packed = uniform(rng, 0, 1);
  const int64_t sequences = uniform(rng, 1, 4), length = uniform(rng, 1, 40);
  for (int64_t s = 0; s < sequences; ++s)
    p.lengths.push_back(!p.packed || uniform(rng, 0, 1) ? length : uniform(rng, 0, 40));
  p.offsets = {0};
  for (int64_t l : p.lengths) p.offsets.push_back(p.offsets.back() + l);
  p.heads = uniform(rng, 1, 3);
  p.dim = uniform(rng, 1, 12);
  p.channels = p.heads * p.dim + uniform(rng, 0, 5);
  p.globals = uniform(rng, 1, most_globals);
  std::vector<int64_t> index(static_cast<size_t>(sequences * p.globals), -1);
  for (int64_t s = 0; s < sequences; ++s) {
    int64_t at = uniform(rng, 0, 2);
    for (int64_t g = 0; g < p.globals && at < p.lengths[s]; ++g, at += uniform(rng, 1, 3))
      index[s * p.globals + g] = at;
  }
  p.index = integer_tensor(index, {sequences, p.globals});
  if (uniform(rng, 0, 2)) {
    p.mask = random_tensor(rng, p.token_shape(), kDouble).gt(-0.7);
    if (uniform(rng, 0, 3) == 0 && p.mask.size(0) > 0)
      p.mask.select(0, 0).zero_();  // a whole row, or the first token
  }
  if (uniform(rng, 0, 2) == 0) p.dropout = 0.3;
  std::vector<int64_t> hidden_shape = p.token_shape();
  hidden_shape.push_back(p.channels);
  const int64_t features = p.heads * p.dim;
  p.query = random_tensor(rng, {sequences, p.globals, p.heads, p.dim}, type);
  p.hidden = random_tensor(rng, hidden_shape, type);
  p.key_weight = random_tensor(rng, {features, p.channels}, type, 0.4);
  p.key_bias = random_tensor(rng, {features}, type);
  p.value_weight = random_tensor(rng, {features, p.channels}, type, 0.4);
  p.value_bias = random_tensor(rng, {features}, type);
  p.grad_out = random_tensor(rng, {sequences, p.globals, p.heads, p.dim}, type);
  return p;
}

GlobalResult global_definition(const GlobalProblem& p, const Tensor& key, const Tensor& value) {
  Doubles query = values(p.query), k = values(key), v = values(value), grad_out = values(p.grad_out);
  Doubles out(query.size()), grad_q(query.size()), grad_k(k.size()), grad_v(k.size());
  const std::vector<int64_t> index = integers(p.index);
  const std::vector<int64_t> visible =
      p.mask.defined() ? integers(p.mask) : std::vector<int64_t>(static_cast<size_t>(p.offsets.back()), 1);
  const double scale = 1.0 / std::sqrt(static_cast<double>(p.dim));
  for (size_t s = 0; s < p.lengths.size(); ++s)
    for (int64_t g = 0; g < p.globals; ++g)
      for (int64_t h = 0; h < p.heads; ++h) {
        const int64_t begin = p.offsets[s], length = p.lengths[s],
                      row = static_cast<int64_t>(s) * p.globals + g;
        const int64_t position = index[static_cast<size_t>(row)];
        if (position < 0 || !visible[static_cast<size_t>(begin + position)]) continue;
        const auto tokens = [&](Doubles& of) {
          return Rows{of.data() + (begin * p.heads + h) * p.dim, p.dim, p.heads * p.dim};
        };
        const auto mine = [&](Doubles& of) { return of.data() + (row * p.heads + h) * p.dim; };
        const Rows keys = tokens(k), vals = tokens(v), grad_keys = tokens(grad_k), grad_vals = tokens(grad_v);
        // The token itself is visible, so that there is a largest score.
        Doubles probability(static_cast<size_t>(length)), factor(static_cast<size_t>(length), 1.0),
            grad(static_cast<size_t>(length));
        double highest = -std::numeric_limits<double>::infinity(), sum = 0.0, mean = 0.0;
        for (int64_t j = 0; j < length; ++j) {
          if (!visible[begin + j]) continue;
          probability[j] = dot(mine(query), keys[j], p.dim) * scale;
          highest = std::max(highest, probability[j]);
        }
        for (int64_t j = 0; j < length; ++j) {
          probability[j] = visible[begin + j] ? std::exp(probability[j] - highest) : 0.0;
          sum += probability[j];
        }
        for (int64_t j = 0; j < length; ++j) {
          probability[j] /= sum;
          if (p.dropout > 0.0)
            factor[j] = dropout_keeps(p.seed, h, p.offsets.back() + row, begin + j, p.dropout)
                            ? 1.0 / (1.0 - p.dropout)
                            : 0.0;
          if (probability[j] == 0.0) continue;
          add(mine(out), probability[j] * factor[j], vals[j], p.dim);
          add(grad_vals[j], probability[j] * factor[j], mine(grad_out), p.dim);
          grad[j] = factor[j] * dot(mine(grad_out), vals[j], p.dim);
          mean += grad[j] * probability[j];
        }
        for (int64_t j = 0; j < length; ++j) {
          const double grad_score = probability[j] * (grad[j] - mean) * scale;
          if (grad_score == 0.0) continue;
          add(mine(grad_q), grad_score, keys[j], p.dim);
          add(grad_keys[j], grad_score, mine(query), p.dim);
        }
      }
  return {tensor_of(out, p.query.sizes(), kDouble), tensor_of(grad_q, p.query.sizes(), kDouble),
          tensor_of(grad_k, key.sizes(), kDouble), tensor_of(grad_v, key.sizes(), kDouble)};
}

FoldedResult folded_definition(const GlobalProblem& p) {
  GlobalProblem wide = p;
  wide.hidden = p.hidden.to(kDouble);
  const GlobalResult r = global_definition(p, wide.key(), wide.value());
  const int64_t tokens = p.offsets.back(), features = p.heads * p.dim;
  const Matrix hidden = matrix_of(p.hidden);
  const Matrix grad_key{tokens, features, values(r.grad_key)},
      grad_value{tokens, features, values(r.grad_value)};
  Matrix grad_hidden = product(grad_key, matrix_of(p.key_weight));
  const Matrix by_values = product(grad_value, matrix_of(p.value_weight));
  for (size_t e = 0; e < grad_hidden.data.size(); ++e) grad_hidden.data[e] += by_values.data[e];
  return {r.out,
          r.grad_query,
          tensor_of(grad_hidden, p.hidden.sizes()),
          tensor_of(product(transposed(grad_key), hidden), p.key_weight.sizes()),
          tensor_of(column_sums(grad_key), {features}),
          tensor_of(product(transposed(grad_value), hidden), p.value_weight.sizes()),
          tensor_of(column_sums(grad_value), {features})};
}

}  // namespace longformer::test
