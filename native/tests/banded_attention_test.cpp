// banded_attention in its three implementations against a dense evaluation of the definition: forward and
// gradient, over random options and all dtypes; finite differences; and what must not depend on how a problem
// is handed over.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <sys/resource.h>

#include <limits>

#include "support.h"

namespace longformer::test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

void expect_matches_definition(const Problem& p, const std::string& implementation, at::ScalarType type) {
  SCOPED_TRACE(p.describe());
  const Result truth = dense(p, at::kDouble), baseline = dense(p, type), r = run(p, implementation);
  EXPECT_TRUE(as_good_as(r.out, baseline.out, truth.out, type)) << "output";
  EXPECT_TRUE(as_good_as(r.grad_q, baseline.grad_q, truth.grad_q, type, truth.terms_of_grad_q))
      << "gradient of query";
  EXPECT_TRUE(as_good_as(r.grad_k, baseline.grad_k, truth.grad_k, type, truth.terms_of_grad_k))
      << "gradient of key";
  EXPECT_TRUE(as_good_as(r.grad_v, baseline.grad_v, truth.grad_v, type)) << "gradient of value";
  // The log-sum-exp is float32 whatever the dtype, -inf in the empty rows.
  EXPECT_EQ(r.lse.scalar_type(), type == at::kDouble ? at::kDouble : at::kFloat);
  EXPECT_FALSE(r.lse.requires_grad());
  EXPECT_LE(max_difference(r.lse, truth.lse), type == at::kDouble ? 1e-12 : 1e-4);
  // Exactly zero where a row is empty, in the output and in the query's gradient.
  const at::Tensor empty = truth.lse.eq(-infinity).unsqueeze(-1).expand_as(r.out);
  EXPECT_EQ(r.out.masked_select(empty).ne(0).sum().item<int64_t>(), 0);
  EXPECT_EQ(r.grad_q.masked_select(empty).ne(0).sum().item<int64_t>(), 0);
}

// --- random options: every implementation x dtype

struct RandomOptions : testing::TestWithParam<std::tuple<std::string, at::ScalarType>> {};

TEST_P(RandomOptions, match_the_definition_forward_and_backward) {
  const auto [implementation, type] = GetParam();
  const bool wide = type == at::kFloat || type == at::kDouble;
  for (uint64_t seed = 0; seed < (wide ? 120 : 60); ++seed) {
    expect_matches_definition(random_problem(seed + 1000 * static_cast<int>(type), type), implementation,
                              type);
    if (HasFailure()) FAIL() << "seed " << seed;
  }
}

const auto implementations = testing::Values("loop", "chunks", "fused");
INSTANTIATE_TEST_SUITE_P(, RandomOptions,
                         testing::Combine(implementations,
                                          testing::Values(at::kFloat, at::kDouble, at::kBFloat16, at::kHalf)),
                         [](const auto& info) {
                           return std::get<0>(info.param) + "_" + toString(std::get<1>(info.param));
                         });

// --- single properties, for each implementation

struct BandedAttention : testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(, BandedAttention, implementations, [](const auto& info) { return info.param; });

// A small problem that uses every option.
Problem small_problem() {
  Problem p;
  p.lengths = {11, 11};
  p.heads = 2;
  p.dim = 3;
  p.window_left = 2;
  p.window_right = 1;
  p.dilation = std::vector<int64_t>{1, 3};
  p.mask = at::full({2, 11}, 1, at::kLong);
  p.mask[0][4] = 0;
  p.mask[1][10] = 0;
  p.global_index = at::tensor({0, 4, 7, 3, -1, -1}, at::kLong).view({2, 3});
  p.scale = 0.7;
  p.dropout = 0.2;
  p.seed = 5;
  Rng rng(3);
  fill(p, rng, at::kDouble);
  return p;
}

TEST_P(BandedAttention, gradients_equal_finite_differences) {
  const Problem p = small_problem();
  const Result r = run(p, GetParam());
  const auto loss = [&](const Problem& at_point) {
    return (std::get<0>(forward(at_point, GetParam())) * p.grad_out).sum().item<double>();
  };
  const double step = 1e-5;
  const auto check = [&](at::Tensor Problem::*input, const at::Tensor& gradient, const char* name) {
    for (int64_t i = 0; i < gradient.numel(); ++i) {
      Problem up = p, down = p;
      (up.*input) = (p.*input).clone();
      (down.*input) = (p.*input).clone();
      (up.*input).view({-1})[i] += step;
      (down.*input).view({-1})[i] -= step;
      const double expected = (loss(up) - loss(down)) / (2 * step);
      ASSERT_NEAR(gradient.reshape({-1})[i].item<double>(), expected, 1e-7) << name << "[" << i << "]";
    }
  };
  check(&Problem::q, r.grad_q, "query");
  check(&Problem::k, r.grad_k, "key");
  check(&Problem::v, r.grad_v, "value");
}

TEST_P(BandedAttention, drops_exactly_the_probabilities_that_the_hash_names) {
  Problem p;
  p.lengths = {40, 24};
  p.packed = true;
  p.heads = 3;
  p.dim = 40;  // one value dimension per key: the output is the row of probabilities
  p.window_left = 6;
  p.window_right = 9;
  p.dilation = std::vector<int64_t>{1, 2, 3};
  p.global_index = at::tensor({0, 17, 5, -1}, at::kLong).view({2, 2});
  p.dropout = 0.5;
  p.seed = -77;
  Rng rng(1);
  fill(p, rng, at::kFloat);
  p.q = p.q * 0.1;  // no probability vanishes by itself
  p.v = at::cat({at::eye(40, at::kFloat), at::eye(40, at::kFloat).narrow(0, 0, 24)})
            .unsqueeze(1)
            .repeat({1, 3, 1})
            .contiguous();
  const at::Tensor out = std::get<0>(forward(p, GetParam()));
  const auto offsets = p.offsets();
  for (size_t s = 0; s < 2; ++s) {
    const at::Tensor kept = allowed_keys(p, s) & dropout_factor(p, s).ne(0);
    const at::Tensor seen =
        out.narrow(0, offsets[s], p.lengths[s]).transpose(0, 1).narrow(2, 0, p.lengths[s]).ne(0);
    EXPECT_TRUE(kept.equal(seen)) << "sequence " << s;
  }
}

TEST_P(BandedAttention, gives_the_same_for_a_batch_for_packed_and_for_single_sequences) {
  Problem batch;
  batch.lengths = {50, 50, 50};
  batch.window_left = batch.window_right = 7;
  batch.global_index = at::tensor({0, 20, 3, -1, 49, -1}, at::kLong).view({3, 2});
  Rng rng(9);
  fill(batch, rng, at::kFloat);
  const at::Tensor expected = std::get<0>(forward(batch, GetParam()));

  Problem packed = batch;
  packed.packed = true;
  for (at::Tensor* t : {&packed.q, &packed.k, &packed.v}) *t = t->view({150, 2, 8});
  EXPECT_LE(max_difference(std::get<0>(forward(packed, GetParam())).view_as(expected), expected), 1e-6);

  for (int64_t s = 0; s < 3; ++s) {
    Problem single = batch;
    single.lengths = {50};
    for (at::Tensor* t : {&single.q, &single.k, &single.v, &single.global_index}) *t = t->narrow(0, s, 1);
    EXPECT_LE(max_difference(std::get<0>(forward(single, GetParam())), expected.narrow(0, s, 1)), 1e-6);
  }
}

TEST_P(BandedAttention, takes_any_strides) {
  Problem p;
  p.lengths = {37, 37};
  p.heads = 4;
  p.dim = 16;
  p.window_left = 5;
  Rng rng(2);
  fill(p, rng, at::kFloat);
  const Result expected = run(p, GetParam());
  Problem strided = p;
  strided.q = p.q.permute({0, 2, 1, 3}).contiguous().permute({0, 2, 1, 3});  // [B, H, T, D] in memory
  strided.k = at::stack({p.q, p.k, p.v}, 2).select(2, 1);                    // one of q, k, v side by side
  strided.v = p.v.permute({3, 2, 1, 0}).contiguous().permute({3, 2, 1, 0});  // last dimension outermost
  strided.grad_out = at::full({1}, 0.5, at::kFloat).expand(p.q.sizes());     // as the gradient of a sum comes
  Problem plain = p;
  plain.grad_out = strided.grad_out.contiguous();
  const Result r = run(strided, GetParam()), e = run(plain, GetParam());
  EXPECT_EQ(max_difference(r.out, expected.out), 0.0);
  EXPECT_TRUE(r.out.is_contiguous());
  EXPECT_LE(max_difference(r.grad_q, e.grad_q), 1e-6);
  EXPECT_LE(max_difference(r.grad_k, e.grad_k), 1e-6);
  EXPECT_LE(max_difference(r.grad_v, e.grad_v), 1e-6);

  Problem packed = p;
  packed.packed = true;
  packed.q = p.q.view({74, 4, 16}).permute({1, 0, 2}).contiguous().permute({1, 0, 2});  // [H, N, D] in memory
  packed.k = at::stack({p.k, p.v}, 2).view({74, 2, 4, 16}).select(1, 0);
  packed.v = at::stack({p.k, p.v}, 2).view({74, 2, 4, 16}).select(1, 1);
  EXPECT_EQ(max_difference(std::get<0>(forward(packed, GetParam())).view_as(expected.out), expected.out),
            0.0);
}

TEST_P(BandedAttention, takes_no_tokens_at_all) {
  for (const std::vector<int64_t>& shape : {std::vector<int64_t>{0, 5, 2, 4}, {3, 0, 2, 4}}) {
    Problem p;
    p.dim = 4;
    p.lengths.assign(shape[0], shape[1]);
    Rng rng(1);
    p.q = p.k = p.v = p.grad_out = at::zeros(shape, at::kFloat);
    const Result r = run(p, GetParam());
    EXPECT_EQ(r.out.sizes(), p.q.sizes());
    EXPECT_EQ(r.lse.sizes(), p.q.sizes().slice(0, 3));
    EXPECT_EQ(r.grad_k.sizes(), p.q.sizes());
  }
  Problem p;
  p.packed = true;
  p.lengths = {0, 0};
  p.q = p.k = p.v = p.grad_out = at::zeros({0, 2, 8}, at::kFloat);
  EXPECT_EQ(run(p, GetParam()).grad_v.sizes(), p.q.sizes());
}

TEST_P(BandedAttention, hides_the_values_of_masked_tokens_even_when_they_are_not_finite) {
  // Padding often holds whatever was in memory; it must not reach a visible row.
  Problem p;
  p.lengths = {70};
  p.window_left = p.window_right = 20;
  p.mask = at::arange(70, at::kLong).lt(50).view({1, 70});
  p.global_index = at::tensor({0, 60}, at::kLong).view({1, 2});
  Rng rng(6);
  fill(p, rng, at::kFloat);
  const Result expected = run(p, GetParam());
  for (const double garbage : {1e30, std::numeric_limits<double>::quiet_NaN()}) {
    Problem spoiled = p;
    for (at::Tensor* t : {&spoiled.q, &spoiled.k, &spoiled.v, &spoiled.grad_out}) {
      *t = t->clone();
      t->narrow(1, 50, 20).fill_(garbage);
    }
    const Result r = run(spoiled, GetParam());
    EXPECT_EQ(max_difference(r.out, expected.out), 0.0);
    EXPECT_EQ(max_difference(r.grad_q, expected.grad_q), 0.0);
    EXPECT_EQ(max_difference(r.grad_k, expected.grad_k), 0.0);
    EXPECT_EQ(max_difference(r.grad_v, expected.grad_v), 0.0);
  }
}

TEST_P(BandedAttention, can_be_differentiated_once_and_says_so) {
  Problem p = small_problem();
  p.q = p.q.detach().set_requires_grad(true);
  const auto offsets = p.offsets();
  const auto [out, lse] = banded_attention(p.q, p.k, p.v, options_of(p, offsets, GetParam()));
  const auto first =
      torch::autograd::grad({out.sum()}, {p.q}, {}, /*retain_graph=*/true, /*create_graph=*/true);
  try {
    torch::autograd::grad({first[0].sum()}, {p.q});
    FAIL() << "the second derivative was not refused";
  } catch (const c10::Error& e) {
    EXPECT_NE(std::string(e.what()).find("longformer::banded_attention can be differentiated once"),
              std::string::npos);
  }
}

TEST_P(BandedAttention, without_gradients_records_no_graph) {
  Problem p = small_problem();
  const auto offsets = p.offsets();
  EXPECT_FALSE(std::get<0>(forward(p, GetParam())).requires_grad());
  p.q = p.q.detach().set_requires_grad(true);
  at::NoGradGuard no_grad;
  EXPECT_FALSE(std::get<0>(forward(p, GetParam())).requires_grad());
}

// --- memory

int64_t peak_bytes() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * 1024;
}

struct Memory : testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(, Memory, testing::Values("chunks", "fused"),
                         [](const auto& info) { return info.param; });

TEST_P(Memory, grows_linearly_with_the_length) {
  // 200,000 tokens: one matrix of T x T float32 would be 160 GB. A tensor of the inputs' size is 12.8 MB.
  Problem p;
  p.lengths = {200000};
  p.heads = 1;
  p.dim = 16;
  p.window_left = p.window_right = 32;
  p.global_index = at::tensor({0, 1000, 199999}, at::kLong).view({1, 3});
  p.q = at::zeros({1, 200000, 1, 16}, at::kFloat);
  p.k = p.v = p.grad_out = p.q;
  const int64_t before = peak_bytes();
  const Result r = run(p, GetParam());
  EXPECT_LT(peak_bytes() - before, int64_t{800} << 20);
  EXPECT_EQ(r.out.ne(0).sum().item<int64_t>(), 0);
}

// --- the probabilities in the window's layout

TEST(BandedProbabilities, hold_the_globals_and_then_the_window) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    Problem p = random_problem(seed + 5000, at::kFloat);
    p.dropout = 0.0;
    p.window_left = std::min<int64_t>(p.window_left, 400);
    p.window_right = std::min<int64_t>(p.window_right, 400);
    SCOPED_TRACE(p.describe());
    const at::Tensor result = banded_probabilities(p).to(at::kDouble);
    const int64_t globals = p.global_index.defined() ? p.global_index.size(1) : 0;
    ASSERT_EQ(result.size(-1), globals + p.window_left + 1 + p.window_right);
    const at::Tensor rows = result.reshape({p.tokens(), p.heads, result.size(-1)}).contiguous();
    const auto offsets = p.offsets();
    // Spread over the keys again, they are the dense softmax.
    for (size_t s = 0; s < p.lengths.size(); ++s) {
      const int64_t length = p.lengths[s], width = result.size(-1);
      if (length == 0) continue;
      const auto heads_first = [&](const at::Tensor& t) {
        return t.reshape({p.tokens(), p.heads, p.dim})
            .narrow(0, offsets[s], length)
            .transpose(0, 1)
            .to(at::kDouble);
      };
      const at::Tensor hidden = allowed_keys(p, s).logical_not();
      const at::Tensor truth = (heads_first(p.q).matmul(heads_first(p.k).transpose(1, 2)) * p.scale_value())
                                   .masked_fill(hidden, -1e30)
                                   .softmax(-1)
                                   .masked_fill(hidden, 0.0);
      at::Tensor spread = at::zeros({p.heads, length, length}, at::kDouble);
      double* to = spread.data_ptr<double>();
      for (int64_t h = 0; h < p.heads; ++h) {
        const int64_t d = !p.dilation ? 1 : p.dilation->size() == 1 ? (*p.dilation)[0] : (*p.dilation)[h];
        for (int64_t i = 0; i < length; ++i) {
          const double* row = rows.data_ptr<double>() + ((offsets[s] + i) * p.heads + h) * width;
          for (int64_t w = 0; w < width; ++w) {
            const int64_t j = w < globals ? p.global_index[static_cast<int64_t>(s)][w].item<int64_t>()
                                          : i + d * (w - globals - p.window_left);
            if (j < 0 || j >= length)
              ASSERT_EQ(row[w], 0.0) << "outside the sequence";
            else
              to[(h * length + i) * length + j] += row[w];
          }
        }
      }
      ASSERT_LE(max_difference(spread, truth), 2e-5);
    }
  }
}

}  // namespace
}  // namespace longformer::test
