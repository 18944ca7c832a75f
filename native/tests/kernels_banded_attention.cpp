// The fused CPU kernels, every instruction set that this machine has, against the definition in double
// precision.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>

#include "../ops/cpu/isa.h"
#include "kernels_oracle.h"

#include <ATen/Parallel.h>

using namespace longformer;
using namespace longformer::test;

namespace {

std::vector<int64_t> first_positions(int64_t n) {
  std::vector<int64_t> all(static_cast<size_t>(n));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

// name, lengths, heads, dim, left, right, dilation, hidden, globals, dropout, spread, scale, fused projection
const std::vector<Case> cases = {
    {"one_block", {64}, 2, 16, 8, 8},
    {"one_token", {1}, 3, 8, 4, 4},
    {"window_of_one_token", {70}, 2, 8, 0, 0},
    {"dim_64_window_128_each_side", {700}, 1, 64, 128, 128},
    {"dim_64_projected_together", {300}, 3, 64, 40, 40, {}, 0, {}, 0, 1, 0, true},
    {"dim_64_last_queries_see_nothing_of_the_first_tile", {200}, 2, 64, 10, 0},
    {"dim_64_both_edges_in_one_tile", {330}, 2, 64, 3, 5, {}, 0.1, {{0, 100}}},
    {"dim_64_edges_inside_a_vector", {500}, 1, 64, 97, 33},
    {"dims_that_are_no_multiple_of_a_vector_20", {150}, 2, 20, 17, 5},
    {"dim_1", {130}, 2, 1, 9, 9},
    {"dim_7", {90}, 2, 7, 3, 30},
    {"dim_80", {200}, 1, 80, 33, 20},
    {"dim_128", {200}, 1, 128, 64, 64},
    {"causal", {333}, 2, 32, 100, 0},
    {"forward_only", {222}, 2, 8, 0, 50},
    {"longer_than_the_sequence", {100}, 2, 16, 500, 1000000000},
    {"packed_with_empty_ones", {65, 0, 1, 200, 0, 63, 0}, 2, 24, 20, 11},
    {"dilation_per_head", {301}, 4, 16, 9, 7, {1, 2, 3, 8}},
    {"dilation_beyond_the_length", {23}, 2, 8, 4, 4, {9, 50}},
    {"masked_half", {260}, 2, 16, 20, 20, {}, 0.5},
    {"masked_all", {130}, 2, 16, 20, 20, {}, 1.1},
    {"globals", {190, 70}, 2, 16, 10, 12, {}, 0, {{0, 1, 50, 189}, {3}}},
    {"globals_and_mask_and_dilation", {290, 170}, 3, 16, 10, 12, {1, 2, 3}, 0.3, {{0, 7, 100, 280}, {}}},
    {"every_token_global", {150}, 1, 16, 5, 5, {}, 0, {first_positions(150)}},
    {"dropout", {180}, 2, 16, 30, 30, {}, 0.1, {{0, 90}}, 0.25},
    {"dropout_dilated", {180}, 2, 16, 10, 30, {2, 3}, 0, {}, 0.6},
    {"large_scores", {200}, 1, 32, 50, 50, {}, 0, {}, 0, 12},
    {"negative_scale", {100}, 1, 16, 20, 20, {}, 0.2, {}, 0, 1, -0.7},
    {"several_segments", {2500}, 1, 8, 30, 70, {}, 0.05, {{0, 1, 2040, 2100}}},
    {"several_segments_dilated", {4700}, 1, 4, 40, 10, {2}, 0, {{5}}},
    {"segments_as_long_as_the_window", {5000}, 1, 2, 1100, 1300},
};

struct Limits {
  double atol, rtol;
};

// atol grows with the largest expected value: sums of products round relative to their terms.
void expect_close(const at::Tensor& actual, const at::Tensor& expected, const Limits& limits,
                  const std::string& what) {
  ASSERT_EQ(actual.sizes(), expected.sizes()) << what;
  const at::Tensor x = actual.to(at::kDouble), y = expected.to(at::kDouble);
  if (x.numel() == 0) return;
  const at::Tensor infinite = y.isinf();
  ASSERT_TRUE(at::equal(x.isinf(), infinite)) << what << ": empty rows differ";
  ASSERT_FALSE(x.isnan().any().item<bool>()) << what << " has NaN";
  const at::Tensor xf = x.masked_fill(infinite, 0), yf = y.masked_fill(infinite, 0);
  const double largest = std::max(1.0, yf.abs().max().item<double>());
  const at::Tensor excess = (xf - yf).abs() - (limits.rtol * yf.abs() + limits.atol * largest);
  EXPECT_LE(excess.max().item<double>(), 0)
      << what << ": largest difference " << (xf - yf).abs().max().item<double>();
}

class Kernels : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { setenv("LONGFORMER_CPU_ISA", GetParam().c_str(), 1); }
  void TearDown() override { unsetenv("LONGFORMER_CPU_ISA"); }
};

void compare_all(at::ScalarType dtype, const Limits& forward, const Limits& backward) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const BandedAttention a = make(c, dtype);
    at::manual_seed(2);
    const at::Tensor grad = at::randn(a.q.sizes(), at::kDouble).to(dtype);
    const Oracle expected = oracle(a, grad);
    const BandedForward f = banded_attention_fused_cpu(a);
    EXPECT_EQ(f.out.scalar_type(), dtype);
    EXPECT_EQ(f.lse.scalar_type(), dtype == at::kDouble ? at::kDouble : at::kFloat);
    // Large scores: the rounding of a score, relative to the score, is an absolute error of its probability's
    // logarithm.
    const double more = c.spread > 2 ? 20 : 1;
    expect_close(f.out, expected.out, {forward.atol * more, forward.rtol * more}, "out");
    expect_close(f.lse, expected.lse, {dtype == at::kDouble ? 1e-13 : 1e-6, 1e-6}, "lse");
    const BandedBackward g = banded_attention_fused_cpu_backward(a, grad, f.out, f.lse);
    const Limits limits = {backward.atol * more, backward.rtol * more};
    expect_close(g.grad_q, expected.grad_q, limits, "grad_q");
    expect_close(g.grad_k, expected.grad_k, limits, "grad_k");
    expect_close(g.grad_v, expected.grad_v, limits, "grad_v");
  }
}

TEST_P(Kernels, float64_equals_the_definition) {
  compare_all(at::kDouble, {2e-14, 1e-13}, {1e-13, 1e-12});
}
TEST_P(Kernels, float32_equals_the_definition) {
  compare_all(at::kFloat, {2e-6, 1e-5}, {4e-6, 2e-5});
}
// Inputs are exact in the comparison; results round to 8 (11) bits, and grad_out * out to those of the saved
// output.
TEST_P(Kernels, bfloat16_equals_the_definition) {
  compare_all(at::kBFloat16, {4e-3, 4e-3}, {1.5e-2, 1e-2});
}
TEST_P(Kernels, float16_equals_the_definition) {
  compare_all(at::kHalf, {5e-4, 5e-4}, {2e-3, 2e-3});
}

TEST_P(Kernels, an_expanded_gradient_is_read_by_its_strides) {
  const BandedAttention a = make({"", {100}, 2, 16, 10, 10}, at::kDouble);
  const at::Tensor grad = at::ones({1}, at::kDouble).expand(a.q.sizes());
  const BandedForward f = banded_attention_fused_cpu(a);
  const BandedBackward g = banded_attention_fused_cpu_backward(a, grad, f.out, f.lse);
  expect_close(g.grad_v, oracle(a, grad).grad_v, {1e-13, 1e-12}, "grad_v");
}

bool same_bits(const BandedForward& x, const BandedForward& y) {
  return at::equal(x.out, y.out) && at::equal(x.lse, y.lse);
}

TEST_P(Kernels, threads_do_not_change_a_bit) {
  const BandedAttention a =
      make({"", {3000, 200}, 3, 32, 60, 70, {1, 2, 1}, 0.1, {{0, 9, 2900}, {0}}}, at::kFloat);
  const at::Tensor grad = at::randn(a.q.sizes());
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const BandedForward f1 = banded_attention_fused_cpu(a);
  const BandedBackward g1 = banded_attention_fused_cpu_backward(a, grad, f1.out, f1.lse);
  for (int threads : {2, 3, 7}) {
    at::set_num_threads(threads);
    const BandedForward f = banded_attention_fused_cpu(a);
    const BandedBackward g = banded_attention_fused_cpu_backward(a, grad, f.out, f.lse);
    EXPECT_TRUE(same_bits(f, f1));
    EXPECT_TRUE(at::equal(g.grad_q, g1.grad_q) && at::equal(g.grad_k, g1.grad_k) &&
                at::equal(g.grad_v, g1.grad_v));
  }
  at::set_num_threads(before);
}

TEST_P(Kernels, a_sequence_in_a_batch_equals_the_sequence_alone_bit_for_bit) {
  const Case c = {"", {130, 777, 64}, 2, 24, 33, 40, {1, 2}, 0.2, {{4}, {0, 500, 776}, {}}};
  const BandedAttention batch = make(c, at::kFloat);
  const BandedForward all = banded_attention_fused_cpu(batch);
  BandedAttention one = batch;
  const int64_t begin = batch.offsets[1], length = 777;
  one.offsets = {0, length};
  one.q = batch.q.narrow(0, begin, length);
  one.k = batch.k.narrow(0, begin, length);
  one.v = batch.v.narrow(0, begin, length);
  one.visible = batch.visible.narrow(0, begin, length);
  one.global_index = batch.global_index.narrow(0, 1, 1);
  const BandedForward alone = banded_attention_fused_cpu(one);
  EXPECT_TRUE(at::equal(alone.out, all.out.narrow(0, begin, length)));
  EXPECT_TRUE(at::equal(alone.lse, all.lse.narrow(0, begin, length)));
}

TEST_P(Kernels, an_output_that_is_written_around_the_caches_has_the_same_bits) {
  // Four heads are 4.6 MB, which is streamed; each by itself is not. The blocks of a unit differ as well.
  const Case c = {"", {4500}, 4, 64, 20, 20, {}, 0, {{0, 4000}}, 0, 1, 0, true};
  const BandedAttention a = make(c, at::kFloat);
  const BandedForward all = banded_attention_fused_cpu(a);
  BandedAttention one = a;
  one.dilation.resize(1);
  for (int64_t head = 0; head < 4; ++head) {
    one.q = a.q.narrow(1, head, 1);
    one.k = a.k.narrow(1, head, 1);
    one.v = a.v.narrow(1, head, 1);
    const BandedForward alone = banded_attention_fused_cpu(one);
    EXPECT_TRUE(at::equal(all.out.narrow(1, head, 1), alone.out)) << "head " << head;
    EXPECT_TRUE(at::equal(all.lse.narrow(1, head, 1), alone.lse)) << "head " << head;
  }
}

TEST_P(Kernels, padding_behind_a_mask_does_not_change_a_bit) {
  BandedAttention padded = make({"", {500}, 2, 16, 50, 50}, at::kFloat);
  BandedAttention bare = padded;
  bare.offsets = {0, 391};
  bare.q = padded.q.narrow(0, 0, 391);
  bare.k = padded.k.narrow(0, 0, 391);
  bare.v = padded.v.narrow(0, 0, 391);
  padded.visible = (at::arange(500) < 391).to(at::kByte);
  padded.q.narrow(0, 391, 109).fill_(std::numeric_limits<float>::quiet_NaN());
  padded.k.narrow(0, 391, 109).fill_(std::numeric_limits<float>::quiet_NaN());
  padded.v.narrow(0, 391, 109).fill_(std::numeric_limits<float>::infinity());
  const BandedForward x = banded_attention_fused_cpu(padded), y = banded_attention_fused_cpu(bare);
  EXPECT_TRUE(at::equal(x.out.narrow(0, 0, 391), y.out));
  EXPECT_TRUE(at::equal(x.lse.narrow(0, 0, 391), y.lse));
  EXPECT_EQ(x.out.narrow(0, 391, 109).abs().max().item<float>(), 0);
  const at::Tensor grad = at::randn(padded.q.sizes());
  const BandedBackward gx = banded_attention_fused_cpu_backward(padded, grad, x.out, x.lse);
  const BandedBackward gy = banded_attention_fused_cpu_backward(bare, grad.narrow(0, 0, 391), y.out, y.lse);
  EXPECT_TRUE(at::equal(gx.grad_q.narrow(0, 0, 391), gy.grad_q));
  EXPECT_TRUE(at::equal(gx.grad_k.narrow(0, 0, 391), gy.grad_k));
  EXPECT_TRUE(at::equal(gx.grad_v.narrow(0, 0, 391), gy.grad_v));
  EXPECT_EQ(gx.grad_k.narrow(0, 391, 109).abs().max().item<float>(), 0);
}

TEST_P(Kernels, a_nan_in_a_visible_key_reaches_exactly_the_queries_that_see_it) {
  BandedAttention a = make({"", {300}, 1, 16, 20, 10}, at::kFloat);
  a.k[150].fill_(std::numeric_limits<float>::quiet_NaN());
  const at::Tensor nan = banded_attention_fused_cpu(a).out.isnan().all(2).squeeze(1);
  for (int64_t i = 0; i < 300; ++i) EXPECT_EQ(nan[i].item<bool>(), i >= 140 && i <= 170) << i;
}

TEST_P(Kernels, probabilities_of_equal_scores_are_exactly_equal) {
  BandedAttention a = make({"", {64}, 1, 16, 7, 0}, at::kFloat);
  a.q.zero_();
  a.v.fill_(1);
  const BandedForward f = banded_attention_fused_cpu(a);
  EXPECT_TRUE(at::equal(f.out, at::ones_like(f.out)));
  EXPECT_FLOAT_EQ(f.lse[63][0].item<float>(), std::log(8.0f));
}

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  for (cpu::Isa isa : {cpu::Isa::portable, cpu::Isa::avx2, cpu::Isa::avx512})
    if (cpu::supported(isa)) names.push_back(cpu::name_of(isa));
  return names;
}

INSTANTIATE_TEST_SUITE_P(Isa, Kernels, testing::ValuesIn(instruction_sets()),
                         [](const testing::TestParamInfo<std::string>& i) { return i.param; });

TEST(Isa, an_unknown_name_is_an_error_that_lists_the_known_ones) {
  setenv("LONGFORMER_CPU_ISA", "avx1024", 1);
  try {
    cpu::active_isa();
    ADD_FAILURE() << "no error";
  } catch (const std::invalid_argument& e) {
    EXPECT_NE(std::string(e.what()).find("avx1024"), std::string::npos);
    EXPECT_NE(std::string(e.what()).find("portable, avx2, avx512"), std::string::npos);
  }
  unsetenv("LONGFORMER_CPU_ISA");
}

TEST(Isa, without_the_variable_the_widest_is_taken) {
  unsetenv("LONGFORMER_CPU_ISA");
  EXPECT_EQ(cpu::name_of(cpu::active_isa()), instruction_sets().back());
}

}  // namespace
