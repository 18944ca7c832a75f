// _dense_attention and its gradients against float64 on the host, for every instruction set.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "kernels_isa.h"

using namespace longformer;
using namespace longformer::test;

namespace {

using Two = std::tuple<Tensor, Tensor>;
using Three = std::tuple<Tensor, Tensor, Tensor>;

struct DenseProblem {
  Tensor q, k, v, gradient, mask;
  std::vector<int64_t> query_offsets{0}, key_offsets{0};
  double scale = 0.3, dropout = 0;
  int64_t seed = 5;

  OptionalTensor optional_mask() const { return mask.defined() ? OptionalTensor(mask) : OptionalTensor(); }
};

DenseProblem problem(const std::vector<int64_t>& queries, const std::vector<int64_t>& keys, int64_t heads,
                     int64_t dim, ScalarType type, bool masked) {
  DenseProblem p;
  for (const int64_t length : queries) p.query_offsets.push_back(p.query_offsets.back() + length);
  for (const int64_t length : keys) p.key_offsets.push_back(p.key_offsets.back() + length);
  const int64_t n = p.query_offsets.back(), m = p.key_offsets.back();
  p.q = randn({n, heads, dim}, type);
  p.k = randn({m, heads, dim}, type);
  p.v = randn({m, heads, dim}, type);
  p.gradient = randn({n, heads, dim}, type);
  if (masked) p.mask = random_mask({m}, 0.7);
  return p;
}

struct DenseResult {
  Tensor out, lse, grad_q, grad_k, grad_v;
};

DenseResult run(const DenseProblem& p) {
  const auto [out, lse] = call<Two>("_dense_attention", p.q, p.k, p.v, p.optional_mask(), p.query_offsets,
                                    p.key_offsets, p.scale, p.dropout, p.seed);
  const auto [q, k, v] =
      call<Three>("_dense_attention_backward", p.gradient, p.q, p.k, p.v, out, lse, p.optional_mask(),
                  p.query_offsets, p.key_offsets, p.scale, p.dropout, p.seed);
  return {out, lse, q, k, v};
}

DenseResult definition(const DenseProblem& p) {
  const int64_t heads = p.q.size(1), dim = p.q.size(2);
  const Doubles q = values(p.q), k = values(p.k), v = values(p.v), g = values(p.gradient),
                visible = p.mask.defined() ? values(p.mask) : Doubles(static_cast<size_t>(p.k.size(0)), 1.0);
  Doubles out(q.size()), lse(static_cast<size_t>(p.q.size(0) * heads)), gq(q.size()), gk(k.size()),
      gv(k.size());
  const auto at = [&](int64_t token, int64_t head) {
    return static_cast<size_t>((token * heads + head) * dim);
  };
  for (size_t s = 0; s + 1 < p.query_offsets.size(); ++s)
    for (int64_t i = p.query_offsets[s]; i < p.query_offsets[s + 1]; ++i)
      for (int64_t h = 0; h < heads; ++h) {
        const int64_t first = p.key_offsets[s], last = p.key_offsets[s + 1];
        Doubles score(static_cast<size_t>(last - first)), factor(score.size(), 1.0);
        double highest = -INFINITY, total = 0, product = 0;
        for (int64_t j = first; j < last; ++j) {
          double& x = score[static_cast<size_t>(j - first)];
          for (int64_t d = 0; d < dim; ++d) x += q[at(i, h) + d] * k[at(j, h) + d];
          x = visible[static_cast<size_t>(j)] != 0 ? x * p.scale : -INFINITY;
          highest = std::max(highest, x);
          if (p.dropout > 0)
            factor[static_cast<size_t>(j - first)] =
                dropout_keeps(p.seed, h, i, j, p.dropout) ? 1 / (1 - p.dropout) : 0.0;
        }
        lse[static_cast<size_t>(i * heads + h)] = -INFINITY;
        if (highest == -INFINITY) continue;
        for (double& x : score) total += x = std::exp(x - highest);
        lse[static_cast<size_t>(i * heads + h)] = highest + std::log(total);
        Doubles of(score.size());
        for (size_t j = 0; j < score.size(); ++j) {
          score[j] /= total;
          for (int64_t d = 0; d < dim; ++d) {
            const size_t key = at(first + static_cast<int64_t>(j), h) + d;
            out[at(i, h) + d] += score[j] * factor[j] * v[key];
            gv[key] += score[j] * factor[j] * g[at(i, h) + d];
            of[j] += factor[j] * v[key] * g[at(i, h) + d];
          }
          product += of[j] * score[j];
        }
        for (size_t j = 0; j < score.size(); ++j)
          for (int64_t d = 0; d < dim; ++d) {
            const size_t key = at(first + static_cast<int64_t>(j), h) + d;
            gq[at(i, h) + d] += p.scale * score[j] * (of[j] - product) * k[key];
            gk[key] += p.scale * score[j] * (of[j] - product) * q[at(i, h) + d];
          }
      }
  return {tensor_of(out, p.q.sizes(), kDouble), tensor_of(lse, p.q.sizes().slice(0, 2), kDouble),
          tensor_of(gq, p.q.sizes(), kDouble), tensor_of(gk, p.k.sizes(), kDouble),
          tensor_of(gv, p.k.sizes(), kDouble)};
}

void expect_definition(const DenseProblem& p, double limit) {
  const DenseResult given = run(p), expected = definition(p);
  const auto expect = [&](const Tensor& x, const Tensor& wanted) {
    EXPECT_LE(max_difference(x, wanted), limit * (1 + max_magnitude(wanted)));
  };
  EXPECT_EQ(given.out.scalar_type(), p.q.scalar_type());
  expect(given.out, expected.out);
  EXPECT_LE(max_difference(given.lse, expected.lse), limit * 10);
  expect(given.grad_q, expected.grad_q);
  expect(given.grad_k, expected.grad_k);
  expect(given.grad_v, expected.grad_v);
}

using DenseAttentionOf = OfInstructionSet;

TEST_P(DenseAttentionOf, equals_float64_for_every_dtype_mask_and_dropout) {
  for (const ScalarType type : {kDouble, kFloat, kBFloat16, kHalf}) {
    const double limit = type == kDouble ? 1e-11 : type == kFloat ? 2e-5 : type == kHalf ? 5e-3 : 4e-2;
    for (const bool masked : {false, true})
      for (const double dropout : {0.0, 0.3}) {
        SCOPED_TRACE(text(type, masked ? " masked " : " ", dropout));
        // Fewer and more queries than keys, blocks that are not full, sequences without queries and keys.
        DenseProblem p = problem({3, 70, 0, 64, 5, 200}, {130, 1, 7, 64, 0, 20}, 3, 20, type, masked);
        p.dropout = dropout;
        expect_definition(p, limit);
      }
  }
}

TEST_P(DenseAttentionOf, holds_many_keys_and_heads_of_every_size) {
  for (const int64_t dim : {1, 16, 33, 64, 96}) {
    SCOPED_TRACE(dim);
    // More tiles of keys than are kept; tensors that are slices of others.
    DenseProblem p = problem({40}, {4500}, 2, dim, kFloat, false);
    p.k = part(randn({4500, 2, 3 * dim}, kFloat), 2, dim, 2 * dim);
    p.scale = 0.1;
    expect_definition(p, 2e-5);
  }
}

TEST_P(DenseAttentionOf, what_is_hidden_may_be_no_number) {
  DenseProblem p = problem({9, 4}, {30, 12}, 2, 16, kFloat, true);
  const DenseResult before = run(p);
  const Doubles visible = values(p.mask);
  const auto spoil = [&](const Tensor& t) {
    Doubles data = values(t);
    for (size_t i = 0; i < data.size(); ++i)
      if (visible[i / 32] == 0) data[i] = std::numeric_limits<double>::quiet_NaN();
    return tensor_of(data, t.sizes(), kFloat);
  };
  p.k = spoil(p.k);
  p.v = spoil(p.v);
  const DenseResult after = run(p);
  EXPECT_TRUE(equal(after.out, before.out));
  EXPECT_TRUE(equal(after.grad_q, before.grad_q));
  EXPECT_TRUE(equal(after.grad_k, before.grad_k));
  EXPECT_TRUE(equal(after.grad_v, before.grad_v));
}

TEST_P(DenseAttentionOf, does_not_depend_on_the_threads) {
  DenseProblem p = problem({200, 30}, {700, 90}, 3, 32, kFloat, true);
  p.dropout = 0.1;
  const DenseResult many = run(p);
  const Threads one(1);
  const DenseResult alone = run(p);
  EXPECT_TRUE(equal(many.out, alone.out));
  EXPECT_TRUE(equal(many.grad_q, alone.grad_q));
  EXPECT_TRUE(equal(many.grad_k, alone.grad_k));
  EXPECT_TRUE(equal(many.grad_v, alone.grad_v));
}

FOR_EACH_INSTRUCTION_SET(DenseAttentionOf);

TEST(DenseAttention, names_what_does_not_fit) {
  const DenseProblem good = problem({3, 2}, {4, 5}, 2, 8, kFloat, true);
  const auto message = [](const DenseProblem& p) { return value_error([&] { run(p); }); };
  DenseProblem p = good;
  p.key_offsets = {0, 9};
  expect_words(message(p), {"_dense_attention", "key_offsets", "3", "given 2"});
  p = good;
  p.key_offsets = {0, 4, 8};
  expect_words(message(p), {"sequence_offsets must end with the 9 tokens of key", "8"});
  p = good;
  p.k = randn({9, 2, 7});
  expect_words(message(p), {"key must be [M, H, D]", "[2, 8]", "[9, 2, 7]"});
  p = good;
  p.v = randn({8, 2, 8});
  expect_words(message(p), {"value must be like key", "[8, 2, 8]"});
  p = good;
  p.mask = random_mask({8}, 0.5);
  expect_words(message(p), {"mask", "[9]", "[8]"});
  p = good;
  p.dropout = 1;
  expect_words(message(p), {"dropout", "1"});
  p = good;
  p.gradient = randn({4, 2, 8});
  expect_words(message(p), {"_dense_attention_backward", "grad_output must be like query", "[4, 2, 8]"});
}

}  // namespace
