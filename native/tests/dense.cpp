// The definition of banded attention, dense, forward and backward by hand on the host.
#include <algorithm>
#include <cmath>
#include <limits>

#include "support.h"

namespace longformer::test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

// One head of one sequence: tokens begin .. begin + length of N.
struct Part {
  int64_t begin, length, heads, dim, head;
  int64_t element(int64_t token, int64_t d) const { return ((begin + token) * heads + head) * dim + d; }
};

template <class Wide>
Wide dot(const Doubles& a, const Doubles& b, const Part& part, int64_t row, int64_t other) {
  const double* x = a.data() + part.element(row, 0);
  const double* y = b.data() + part.element(other, 0);
  Wide sum = 0;
  for (int64_t d = 0; d < part.dim; ++d) sum += static_cast<Wide>(x[d]) * static_cast<Wide>(y[d]);
  return sum;
}

// rows[i] += sum over j of weight(i, j) * values[j], by weights [L, L] of which the zeros are left out.
template <class Wide>
Doubles weighted(const Doubles& weights, const Doubles& values, const Part& part, bool transposed) {
  const int64_t length = part.length;
  Doubles result(static_cast<size_t>(length * part.dim));
  std::vector<Wide> row(static_cast<size_t>(part.dim));
  for (int64_t i = 0; i < length; ++i) {
    std::fill(row.begin(), row.end(), Wide(0));
    for (int64_t j = 0; j < length; ++j) {
      const Wide w = static_cast<Wide>(weights[transposed ? j * length + i : i * length + j]);
      if (w == 0) continue;
      const double* value = values.data() + part.element(j, 0);
      for (int64_t d = 0; d < part.dim; ++d) row[d] += w * static_cast<Wide>(value[d]);
    }
    std::copy(row.begin(), row.end(), result.begin() + i * part.dim);
  }
  return result;
}

void store(const Doubles& rows, const Part& part, Doubles& to) {
  for (int64_t i = 0; i < part.length; ++i)
    std::copy_n(rows.begin() + i * part.dim, part.dim, to.begin() + part.element(i, 0));
}

double largest(const Doubles& values) {
  double result = 0.0;
  for (double v : values) result = std::max(result, std::abs(v));
  return result;
}

struct Softmax {
  Doubles probability, lse;  // [L, L], [L]
};

// Over the allowed keys of each row; a row without one is zero and its logarithm -inf.
template <class Wide>
Softmax softmax(const Doubles& scores, const char* allowed, int64_t length) {
  Softmax result{Doubles(scores.size()), Doubles(static_cast<size_t>(length), -infinity)};
  for (int64_t i = 0; i < length; ++i) {
    const size_t begin = static_cast<size_t>(i * length), end = begin + static_cast<size_t>(length);
    double highest = -infinity;
    for (size_t e = begin; e < end; ++e)
      if (allowed[e]) highest = std::max(highest, scores[e]);
    if (highest == -infinity) continue;
    Wide sum = 0;
    for (size_t e = begin; e < end; ++e)
      if (allowed[e]) sum += std::exp(static_cast<Wide>(scores[e] - highest));
    for (size_t e = begin; e < end; ++e)
      if (allowed[e]) result.probability[e] = std::exp(static_cast<Wide>(scores[e] - highest)) / sum;
    result.lse[i] = static_cast<Wide>(highest) + std::log(sum);
  }
  return result;
}

struct Inputs {
  Doubles q, k, v, grad_out;
};
struct Outputs {
  Doubles out, lse, grad_q, grad_k, grad_v;
};

// Products and softmax are computed in Wide; what a model would hold in a tensor is rounded to the type.
template <class Wide>
void dense_head(const Problem& p, ScalarType type, const Part& part, const char* allowed,
                const Doubles& dropout, const Inputs& in, Outputs& to, Result& r) {
  const int64_t length = part.length;
  const Wide scale = static_cast<Wide>(p.scale_value());
  const size_t pairs = static_cast<size_t>(length * length);
  Doubles scores(pairs), grad_p(pairs);
  for (int64_t i = 0; i < length; ++i)
    for (int64_t j = 0; j < length; ++j) {
      const size_t e = static_cast<size_t>(i * length + j);
      if (!allowed[e]) continue;
      scores[e] = dot<Wide>(in.q, in.k, part, i, j) * scale;
      grad_p[e] = dot<Wide>(in.grad_out, in.v, part, i, j);
    }
  scores = rounded(scores, type);
  const Softmax soft = softmax<Wide>(scores, allowed, length);
  Doubles probability = rounded(soft.probability, type);
  if (!dropout.empty()) {
    for (size_t e = 0; e < pairs; ++e)
      probability[e] = static_cast<Wide>(probability[e]) * static_cast<Wide>(dropout[e]);
    probability = rounded(probability, type);
  }
  store(rounded(weighted<Wide>(probability, in.v, part, false), type), part, to.out);
  for (int64_t i = 0; i < length; ++i) to.lse[(part.begin + i) * p.heads + part.head] = soft.lse[i];

  Doubles terms(pairs);
  for (size_t e = 0; e < pairs; ++e) terms[e] = std::abs(probability[e] * grad_p[e] * scale);
  store(rounded(weighted<Wide>(probability, in.grad_out, part, true), type), part, to.grad_v);
  grad_p = rounded(grad_p, type);
  if (!dropout.empty()) {
    for (size_t e = 0; e < pairs; ++e)
      grad_p[e] = static_cast<Wide>(grad_p[e]) * static_cast<Wide>(dropout[e]);
    grad_p = rounded(grad_p, type);
  }
  // Of softmax: p * (g - sum of g * p).
  Doubles grad_scores(pairs);
  for (int64_t i = 0; i < length; ++i) {
    Wide mean = 0;
    for (int64_t e = i * length; e < (i + 1) * length; ++e)
      mean += static_cast<Wide>(grad_p[e]) * static_cast<Wide>(soft.probability[e]);
    for (int64_t e = i * length; e < (i + 1) * length; ++e)
      grad_scores[e] = static_cast<Wide>(soft.probability[e]) * (static_cast<Wide>(grad_p[e]) - mean);
  }
  grad_scores = rounded(grad_scores, type);
  for (double& g : grad_scores) g = static_cast<Wide>(g) * scale;
  store(rounded(weighted<Wide>(grad_scores, in.k, part, false), type), part, to.grad_q);
  store(rounded(weighted<Wide>(grad_scores, in.q, part, true), type), part, to.grad_k);

  const auto absolute = [](Doubles x) {
    for (double& v : x) v = std::abs(v);
    return x;
  };
  r.terms_of_grad_q =
      std::max(r.terms_of_grad_q, largest(weighted<Wide>(terms, absolute(in.k), part, false)));
  r.terms_of_grad_k = std::max(r.terms_of_grad_k, largest(weighted<Wide>(terms, absolute(in.q), part, true)));
}

}  // namespace

std::vector<char> allowed_keys(const Problem& p, size_t sequence) {
  const int64_t begin = p.offsets()[sequence], length = p.lengths[sequence];
  const std::vector<int64_t> visible = p.mask.defined() ? integers(p.mask) : std::vector<int64_t>();
  std::vector<bool> is_global(static_cast<size_t>(length), false);
  if (p.global_index.defined())
    for (int64_t j : integers(p.global_index[static_cast<int64_t>(sequence)]))
      if (j >= 0) is_global[j] = true;
  std::vector<char> allowed(static_cast<size_t>(p.heads * length * length));
  char* a = allowed.data();
  for (int64_t h = 0; h < p.heads; ++h) {
    const int64_t d = p.dilation_of(h);
    for (int64_t i = 0; i < length; ++i)
      for (int64_t j = 0; j < length; ++j, ++a) {
        if (!visible.empty() && (!visible[begin + i] || !visible[begin + j])) continue;
        const int64_t distance = std::abs(j - i), steps = distance / d;
        const bool local = distance % d == 0 && steps <= (j < i ? p.window_left : p.window_right);
        *a = local || is_global[j];
      }
  }
  return allowed;
}

Doubles dropout_factor(const Problem& p, size_t sequence) {
  const int64_t begin = p.offsets()[sequence], length = p.lengths[sequence];
  Doubles factor;
  for (int64_t h = 0; h < p.heads; ++h)
    for (int64_t i = 0; i < length; ++i)
      for (int64_t j = 0; j < length; ++j)
        factor.push_back(dropout_keeps(p.seed, h, begin + i, begin + j, p.dropout) ? 1.0 / (1.0 - p.dropout)
                                                                                   : 0.0);
  return factor;
}

Result dense(const Problem& p, ScalarType type) {
  const ScalarType wide = type == kDouble ? kDouble : kFloat;
  const auto offsets = p.offsets();
  const Inputs in{rounded(values(p.q), type), rounded(values(p.k), type), rounded(values(p.v), type),
                  rounded(values(p.grad_out), type)};
  const Doubles zeros(in.q.size());
  Outputs to{zeros, Doubles(static_cast<size_t>(offsets.back() * p.heads), -infinity), zeros, zeros, zeros};
  Result r;
  for (size_t s = 0; s < p.lengths.size(); ++s) {
    const int64_t length = p.lengths[s], pairs = length * length;
    const std::vector<char> allowed = allowed_keys(p, s);
    const Doubles dropout = p.dropout > 0.0 ? dropout_factor(p, s) : Doubles();
    for (int64_t h = 0; h < p.heads; ++h) {
      const Part part{offsets[s], length, p.heads, p.dim, h};
      const Doubles factor = dropout.empty()
                                 ? Doubles()
                                 : Doubles(dropout.begin() + h * pairs, dropout.begin() + (h + 1) * pairs);
      const char* keys = allowed.data() + h * pairs;
      if (type == kDouble)
        dense_head<double>(p, type, part, keys, factor, in, to, r);
      else
        dense_head<float>(p, type, part, keys, factor, in, to, r);
    }
  }
  const auto shaped = [&](const Doubles& v) { return tensor_of(v, p.q.sizes(), type); };
  r.out = shaped(to.out);
  r.grad_q = shaped(to.grad_q);
  r.grad_k = shaped(to.grad_k);
  r.grad_v = shaped(to.grad_v);
  r.lse = tensor_of(to.lse, p.q.sizes().slice(0, p.q.dim() - 1), wide);
  return r;
}

Matrix dense_probabilities(const Problem& p, size_t sequence, int64_t head) {
  const int64_t length = p.lengths[sequence];
  const Part part{p.offsets()[sequence], length, p.heads, p.dim, head};
  const Doubles q = values(p.q), k = values(p.k);
  const std::vector<char> allowed = allowed_keys(p, sequence);
  Matrix scores = matrix(length, length);
  for (int64_t i = 0; i < length; ++i)
    for (int64_t j = 0; j < length; ++j) scores.at(i, j) = dot<double>(q, k, part, i, j) * p.scale_value();
  scores.data = softmax<double>(scores.data, allowed.data() + head * length * length, length).probability;
  return scores;
}

}  // namespace longformer::test
