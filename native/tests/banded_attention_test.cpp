// banded_attention in its three implementations against a dense evaluation of the definition: forward and
// gradient, over random options and all dtypes; finite differences; and what must not depend on how a problem
// is handed over.
#include <sys/resource.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "support.h"

namespace longformer::test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

void expect_matches_definition(const Problem& p, const std::string& implementation, ScalarType type) {
  SCOPED_TRACE(p.describe());
  const Result truth = dense(p, kDouble), baseline = dense(p, type), r = run(p, implementation);
  EXPECT_TRUE(as_good_as(r.out, baseline.out, truth.out, type)) << "output";
  EXPECT_TRUE(as_good_as(r.grad_q, baseline.grad_q, truth.grad_q, type, truth.terms_of_grad_q))
      << "gradient of query";
  EXPECT_TRUE(as_good_as(r.grad_k, baseline.grad_k, truth.grad_k, type, truth.terms_of_grad_k))
      << "gradient of key";
  EXPECT_TRUE(as_good_as(r.grad_v, baseline.grad_v, truth.grad_v, type)) << "gradient of value";
  // The log-sum-exp is float32 whatever the dtype, -inf in the empty rows.
  EXPECT_EQ(r.lse.scalar_type(), type == kDouble ? kDouble : kFloat);
  EXPECT_LE(max_difference(r.lse, truth.lse), type == kDouble ? 1e-12 : 1e-4);
  // Exactly zero where a row is empty, in the output and in the query's gradient.
  const Doubles lse = values(truth.lse), out = values(r.out), grad_q = values(r.grad_q);
  int64_t spoiled = 0;
  for (size_t e = 0; e < out.size(); ++e)
    if (lse[e / static_cast<size_t>(p.dim)] == -infinity) spoiled += out[e] != 0.0 || grad_q[e] != 0.0;
  EXPECT_EQ(spoiled, 0) << "elements of empty rows";
}

// --- random options: every implementation x dtype

struct RandomOptions : testing::TestWithParam<std::tuple<std::string, ScalarType>> {};

TEST_P(RandomOptions, match_the_definition_forward_and_backward) {
  const auto [implementation, type] = GetParam();
  const bool wide = type == kFloat || type == kDouble;
  for (uint64_t seed = 0; seed < (wide ? 120 : 60); ++seed) {
    expect_matches_definition(random_problem(seed + 1000 * static_cast<int>(type), type), implementation,
                              type);
    if (HasFailure()) FAIL() << "seed " << seed;
  }
}

const auto implementations = testing::Values("loop", "chunks", "fused");
INSTANTIATE_TEST_SUITE_P(
    , RandomOptions, testing::Combine(implementations, testing::Values(kFloat, kDouble, kBFloat16, kHalf)),
    [](const auto& info) { return std::get<0>(info.param) + "_" + text(std::get<1>(info.param)); });

// --- single properties, for each implementation

struct BandedAttention : testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(, BandedAttention, implementations, [](const auto& info) { return info.param; });

// The sum of output * grad_out, of which grad_q, grad_k and grad_v are the gradients.
double loss_of(const Tensor& out, const Problem& p) {
  const Doubles o = values(out), g = values(p.grad_out);
  return std::inner_product(o.begin(), o.end(), g.begin(), 0.0);
}

TEST(DenseDefinition, has_the_gradients_of_finite_differences) {
  for (const bool without_options : {false, true}) {
    Problem p = small_problem();
    if (without_options) {
      p.mask = p.global_index = Tensor();
      p.dilation.reset();
      p.dropout = 0.0;
    }
    const Result r = dense(p, kDouble);
    expect_finite_differences(
        {p.q, p.k, p.v}, {r.grad_q, r.grad_k, r.grad_v}, [&] { return loss_of(dense(p, kDouble).out, p); },
        1e-7);
  }
}

TEST_P(BandedAttention, gradients_equal_finite_differences) {
  const Problem p = small_problem();
  const Result r = run(p, GetParam());
  expect_finite_differences(
      {p.q, p.k, p.v}, {r.grad_q, r.grad_k, r.grad_v},
      [&] { return loss_of(std::get<0>(forward(p, GetParam())), p); }, 1e-7);
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
  p.global_index = integer_tensor({0, 17, 5, -1}, {2, 2});
  p.dropout = 0.5;
  p.seed = -77;
  Rng rng(1);
  fill(p, rng, kFloat);
  p.q.mul_(0.1);  // no probability vanishes by itself
  Doubles unit(static_cast<size_t>(64 * 3 * 40));
  for (size_t token = 0; token < 64; ++token)
    for (size_t head = 0; head < 3; ++head)
      unit[(token * 3 + head) * 40 + (token < 40 ? token : token - 40)] = 1.0;
  p.v = tensor_of(unit, {64, 3, 40}, kFloat);
  const Doubles out = values(std::get<0>(forward(p, GetParam())));
  const auto offsets = p.offsets();
  for (size_t s = 0; s < 2; ++s) {
    const std::vector<char> allowed = allowed_keys(p, s);
    const Doubles factor = dropout_factor(p, s);
    int64_t wrong = 0;
    size_t e = 0;
    for (int64_t h = 0; h < 3; ++h)
      for (int64_t i = 0; i < p.lengths[s]; ++i)
        for (int64_t j = 0; j < p.lengths[s]; ++j, ++e) {
          const bool kept = allowed[e] && factor[e] != 0.0;
          wrong += kept != (out[static_cast<size_t>(((offsets[s] + i) * 3 + h) * 40 + j)] != 0.0);
        }
    EXPECT_EQ(wrong, 0) << "sequence " << s;
  }
}

TEST_P(BandedAttention, gives_the_same_for_a_batch_for_packed_and_for_single_sequences) {
  Problem batch;
  batch.lengths = {50, 50, 50};
  batch.window_left = batch.window_right = 7;
  batch.global_index = integer_tensor({0, 20, 3, -1, 49, -1}, {3, 2});
  Rng rng(9);
  fill(batch, rng, kFloat);
  const Tensor expected = std::get<0>(forward(batch, GetParam()));

  Problem packed = batch;
  packed.packed = true;
  for (Tensor* t : {&packed.q, &packed.k, &packed.v}) *t = t->view({150, 2, 8});
  EXPECT_LE(max_difference(std::get<0>(forward(packed, GetParam())).view(expected.sizes()), expected), 1e-6);

  for (int64_t s = 0; s < 3; ++s) {
    Problem single = batch;
    single.lengths = {50};
    for (Tensor* t : {&single.q, &single.k, &single.v, &single.global_index}) *t = t->narrow(0, s, 1);
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
  fill(p, rng, kFloat);
  const Result expected = run(p, GetParam());
  Problem strided = p;
  strided.q = p.q.permute({0, 2, 1, 3}).contiguous().permute({0, 2, 1, 3});  // [B, H, T, D] in memory
  strided.k = stack({p.q, p.k, p.v}, 2).select(2, 1);                        // one of q, k, v side by side
  strided.v = p.v.permute({3, 2, 1, 0}).contiguous().permute({3, 2, 1, 0});  // last dimension outermost
  strided.grad_out = full({1}, 0.5, kFloat).expand(p.q.sizes());             // as the gradient of a sum comes
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
  packed.k = stack({p.k, p.v}, 2).view({74, 2, 4, 16}).select(1, 0);
  packed.v = stack({p.k, p.v}, 2).view({74, 2, 4, 16}).select(1, 1);
  EXPECT_EQ(max_difference(std::get<0>(forward(packed, GetParam())).view(expected.out.sizes()), expected.out),
            0.0);
}

TEST_P(BandedAttention, takes_no_tokens_at_all) {
  for (const std::vector<int64_t>& shape : {std::vector<int64_t>{0, 5, 2, 4}, {3, 0, 2, 4}}) {
    Problem p;
    p.dim = 4;
    p.lengths.assign(shape[0], shape[1]);
    Rng rng(1);
    p.q = p.k = p.v = p.grad_out = zeros(shape, kFloat);
    const Result r = run(p, GetParam());
    EXPECT_EQ(r.out.sizes(), p.q.sizes());
    EXPECT_EQ(r.lse.sizes(), p.q.sizes().slice(0, 3));
    EXPECT_EQ(r.grad_k.sizes(), p.q.sizes());
  }
  Problem p;
  p.packed = true;
  p.lengths = {0, 0};
  p.q = p.k = p.v = p.grad_out = zeros({0, 2, 8}, kFloat);
  EXPECT_EQ(run(p, GetParam()).grad_v.sizes(), p.q.sizes());
}

TEST_P(BandedAttention, hides_the_values_of_masked_tokens_even_when_they_are_not_finite) {
  // Padding often holds old memory; it must not reach a visible row.
  Problem p;
  p.lengths = {70};
  p.window_left = p.window_right = 20;
  p.mask = arange(70).lt(50).view({1, 70});
  p.global_index = integer_tensor({0, 60}, {1, 2});
  Rng rng(6);
  fill(p, rng, kFloat);
  const Result expected = run(p, GetParam());
  for (const double garbage : {1e30, std::numeric_limits<double>::quiet_NaN()}) {
    Problem spoiled = p;
    for (Tensor* t : {&spoiled.q, &spoiled.k, &spoiled.v, &spoiled.grad_out}) {
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
  p.global_index = integer_tensor({0, 1000, 199999}, {1, 3});
  p.q = zeros({1, 200000, 1, 16}, kFloat);
  p.k = p.v = p.grad_out = p.q;
  const int64_t before = peak_bytes();
  const Result r = run(p, GetParam());
  EXPECT_LT(peak_bytes() - before, int64_t{800} << 20);
  EXPECT_EQ(max_magnitude(r.out), 0.0);
}

// --- the probabilities in the window's layout

TEST(BandedProbabilities, hold_the_globals_and_then_the_window) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    Problem p = random_problem(seed + 5000, kFloat);
    p.dropout = 0.0;
    p.window_left = std::min<int64_t>(p.window_left, 400);
    p.window_right = std::min<int64_t>(p.window_right, 400);
    SCOPED_TRACE(p.describe());
    const Tensor result = banded_probabilities(p);
    const std::vector<int64_t> globals =
        p.global_index.defined() ? integers(p.global_index) : std::vector<int64_t>();
    const int64_t global_count = p.global_index.defined() ? p.global_index.size(1) : 0;
    const int64_t width = global_count + p.window_left + 1 + p.window_right;
    ASSERT_EQ(result.size(-1), width);
    const Doubles rows = values(result);
    const auto offsets = p.offsets();
    // Spread over the keys again, they are the dense softmax.
    for (size_t s = 0; s < p.lengths.size(); ++s)
      for (int64_t h = 0; h < p.heads; ++h) {
        const int64_t length = p.lengths[s], d = p.dilation_of(h);
        const Matrix truth = dense_probabilities(p, s, h);
        Matrix spread = matrix(length, length);
        for (int64_t i = 0; i < length; ++i)
          for (int64_t w = 0; w < width; ++w) {
            const double value = rows[static_cast<size_t>(((offsets[s] + i) * p.heads + h) * width + w)];
            const int64_t j = w < global_count
                                  ? globals[s * static_cast<size_t>(global_count) + static_cast<size_t>(w)]
                                  : i + d * (w - global_count - p.window_left);
            if (j < 0 || j >= length)
              ASSERT_EQ(value, 0.0) << "outside the sequence";
            else
              spread.at(i, j) += value;
          }
        for (size_t e = 0; e < truth.data.size(); ++e) ASSERT_NEAR(spread.data[e], truth.data[e], 2e-5);
      }
  }
}

}  // namespace
}  // namespace longformer::test
