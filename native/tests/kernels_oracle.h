// The definition of banded attention as three plain loops in double precision, forward and backward, and
// random cases for it. Shared by the kernels_* tests.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "../ops/banded_attention.h"
#include "kernels_tensors.h"

namespace longformer::test {

// Every query's keys, each once: those in its window and the global ones, as tokens in N.
class Keys {
 public:
  explicit Keys(const BandedAttention& a) : a_(a) {
    visible_.assign(static_cast<size_t>(a.offsets.back()), 1);
    global_ = std::vector<char>(visible_.size(), 0);
    for (size_t i = 0; a.visible.defined() && i < visible_.size(); ++i)
      visible_[i] = a.visible.data_ptr<uint8_t>()[i] != 0;
    globals_.resize(a.offsets.size());
    const std::vector<int64_t> index =
        a.global_index.defined() ? integers(a.global_index) : std::vector<int64_t>();
    for (size_t s = 0; a.global_index.defined() && s + 1 < a.offsets.size(); ++s) {
      for (int64_t g = 0; g < a.global_index.size(1); ++g) {
        const int64_t key = index[s * size_t(a.global_index.size(1)) + size_t(g)];
        if (key < 0) continue;
        globals_[s].push_back(a.offsets[s] + key);
        global_[size_t(a.offsets[s] + key)] = 1;
      }
    }
  }

  std::vector<int64_t> of(size_t sequence, int64_t head, int64_t query) const {
    const int64_t begin = a_.offsets[sequence], end = a_.offsets[sequence + 1], token = begin + query;
    const int64_t d = a_.dilation[size_t(head)];
    std::vector<int64_t> keys;
    if (!visible_[size_t(token)]) return keys;
    const int64_t reach = end - begin;
    for (int64_t s = -std::min(a_.window_left, reach); s <= std::min(a_.window_right, reach); ++s) {
      const int64_t key = token + s * d;
      if (key >= begin && key < end && visible_[size_t(key)] && !global_[size_t(key)]) keys.push_back(key);
    }
    for (int64_t key : globals_[sequence])
      if (visible_[size_t(key)]) keys.push_back(key);
    return keys;
  }

 private:
  const BandedAttention& a_;
  std::vector<char> visible_, global_;
  std::vector<std::vector<int64_t>> globals_;
};

struct Oracle {
  Tensor out, lse, grad_q, grad_k, grad_v;  // float64
};

inline Oracle oracle(const BandedAttention& a, const Tensor& grad_out) {
  const Tensor q = a.q.to(kDouble).contiguous(), k = a.k.to(kDouble).contiguous(),
               v = a.v.to(kDouble).contiguous(), g = grad_out.to(kDouble).contiguous();
  Oracle r;
  r.out = zeros_like(q);
  r.grad_q = zeros_like(q);
  r.grad_k = zeros_like(q);
  r.grad_v = zeros_like(q);
  const Keys seen(a);
  const int64_t heads = q.size(1), dim = q.size(2);
  r.lse = full({q.size(0), heads}, -std::numeric_limits<double>::infinity(), q.options());
  const auto row = [&](const Tensor& t, int64_t token, int64_t head) {
    return t.data_ptr<double>() + (token * heads + head) * dim;
  };
  const auto dot = [&](const double* x, const double* y) {
    double sum = 0;
    for (int64_t d = 0; d < dim; ++d) sum += x[d] * y[d];
    return sum;
  };
  for (size_t s = 0; s + 1 < a.offsets.size(); ++s) {
    for (int64_t h = 0; h < heads; ++h) {
      for (int64_t i = 0; i < a.offsets[s + 1] - a.offsets[s]; ++i) {
        const int64_t token = a.offsets[s] + i;
        const std::vector<int64_t> keys = seen.of(s, h, i);
        if (keys.empty()) continue;
        std::vector<double> p(keys.size()), keep(keys.size(), 1.0);
        double high = -std::numeric_limits<double>::infinity(), total = 0;
        for (size_t j = 0; j < keys.size(); ++j)
          high = std::max(high, p[j] = a.scale * dot(row(q, token, h), row(k, keys[j], h)));
        for (double& x : p) total += x = std::exp(x - high);
        r.lse.data_ptr<double>()[token * heads + h] = high + std::log(total);
        double* out = row(r.out, token, h);
        for (size_t j = 0; j < keys.size(); ++j) {
          p[j] /= total;
          if (a.dropout > 0)
            keep[j] =
                dropout_keeps(uint64_t(a.seed), uint64_t(h), uint64_t(token), uint64_t(keys[j]), a.dropout)
                    ? 1 / (1 - a.dropout)
                    : 0.0;
          for (int64_t d = 0; d < dim; ++d) out[d] += p[j] * keep[j] * row(v, keys[j], h)[d];
        }
        const double* go = row(g, token, h);
        const double delta = dot(go, out);
        for (size_t j = 0; j < keys.size(); ++j) {
          const double ds = p[j] * (keep[j] * dot(go, row(v, keys[j], h)) - delta) * a.scale;
          for (int64_t d = 0; d < dim; ++d) {
            row(r.grad_q, token, h)[d] += ds * row(k, keys[j], h)[d];
            row(r.grad_k, keys[j], h)[d] += ds * row(q, token, h)[d];
            row(r.grad_v, keys[j], h)[d] += p[j] * keep[j] * go[d];
          }
        }
      }
    }
  }
  return r;
}

struct Case {
  const char* name;
  std::vector<int64_t> lengths;
  int64_t heads = 2, dim = 16, left = 8, right = 8;
  std::vector<int64_t> dilation = {};              // empty: all 1
  double hidden = 0;                               // share of masked tokens
  std::vector<std::vector<int64_t>> globals = {};  // of every sequence
  double dropout = 0, spread = 1, scale = 0;       // scale 0: 1/sqrt(dim)
  bool fused_projection = false;                   // q, k, v as slices of one [N, 3, H, D] tensor
};

inline BandedAttention make(const Case& c, ScalarType dtype, int64_t seed = 1) {
  reseed(uint64_t(seed));
  BandedAttention a;
  a.offsets = {0};
  for (int64_t n : c.lengths) a.offsets.push_back(a.offsets.back() + n);
  const int64_t tokens = a.offsets.back();
  const auto random = [&](IntList shape) { return random_tensor(generator(), shape, dtype, c.spread); };
  if (c.fused_projection) {
    const Tensor all = random({tokens, 3, c.heads, c.dim});
    a.q = all.select(1, 0);
    a.k = all.select(1, 1);
    a.v = all.select(1, 2);
  } else {
    a.q = random({tokens, c.heads, c.dim});
    a.k = random({c.heads, tokens, c.dim}).transpose(0, 1);
    a.v = random({tokens, c.heads, c.dim});
  }
  if (c.hidden > 0) a.visible = random_mask({tokens}, 1 - c.hidden).to(kByte);
  if (!c.globals.empty()) {
    size_t most = 0;
    for (const auto& g : c.globals) most = std::max(most, g.size());
    std::vector<int64_t> index(c.globals.size() * most, -1);
    for (size_t s = 0; s < c.globals.size(); ++s)
      std::copy(c.globals[s].begin(), c.globals[s].end(), index.begin() + std::ptrdiff_t(s * most));
    a.global_index = integer_tensor(index, {int64_t(c.globals.size()), int64_t(most)});
  }
  a.window_left = c.left;
  a.window_right = c.right;
  a.dilation = c.dilation.empty() ? std::vector<int64_t>(size_t(c.heads), 1) : c.dilation;
  a.scale = c.scale != 0 ? c.scale : 1 / std::sqrt(double(c.dim));
  a.dropout = c.dropout;
  a.seed = 1234567;
  return a;
}

}  // namespace longformer::test
