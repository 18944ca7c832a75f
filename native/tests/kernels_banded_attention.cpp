// The fused CPU kernels, every instruction set that this machine has, against the definition in double
// precision.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <stdexcept>
#include <string>

#include "kernels_cases.h"
#include "kernels_isa.h"

using namespace longformer;
using namespace longformer::test;

namespace {

using Kernels = OfInstructionSet;

void compare_all(ScalarType dtype, const Limits& forward, const Limits& backward,
                 bool bfloat16_products = true) {
  for (const Case& c : attention_cases()) {
    SCOPED_TRACE(c.name);
    BandedAttention a = make(c, dtype);
    a.bfloat16_products = bfloat16_products;
    reseed(2);
    const Tensor grad = randn(a.q.sizes(), dtype);
    const Oracle expected = oracle(a, grad);
    const BandedForward f = banded_attention_fused_cpu(a);
    EXPECT_EQ(f.out.scalar_type(), dtype);
    EXPECT_EQ(f.lse.scalar_type(), dtype == kDouble ? kDouble : kFloat);
    // Large scores: the rounding of a score, relative to the score, is an absolute error of its probability's
    // logarithm.
    const double more = c.spread > 2 ? 20 : 1;
    expect_close(f.out, expected.out, {forward.atol * more, forward.rtol * more}, "out");
    expect_close(f.lse, expected.lse, {dtype == kDouble ? 1e-13 : 1e-6, 1e-6}, "lse");
    const BandedBackward g = banded_attention_fused_cpu_backward(a, grad, f.out, f.lse);
    const Limits limits = {backward.atol * more, backward.rtol * more};
    expect_close(g.grad_q, expected.grad_q, limits, "grad_q");
    expect_close(g.grad_k, expected.grad_k, limits, "grad_k");
    expect_close(g.grad_v, expected.grad_v, limits, "grad_v");
  }
}

TEST_P(Kernels, float64_equals_the_definition) {
  compare_all(kDouble, {2e-14, 1e-13}, {1e-13, 1e-12});
}
TEST_P(Kernels, float32_equals_the_definition) {
  compare_all(kFloat, {2e-6, 1e-5}, {4e-6, 2e-5});
}
// Inputs are exact in the comparison; results round to 8 (11) bits, and grad_out * out to those of the saved
// output.
TEST_P(Kernels, bfloat16_equals_the_definition) {
  compare_all(kBFloat16, {4e-3, 4e-3}, {1.5e-2, 1e-2});
}
// As processors without instructions for bfloat16 multiply it.
TEST_P(Kernels, bfloat16_by_float32_equals_the_definition) {
  compare_all(kBFloat16, {4e-3, 4e-3}, {1.5e-2, 1e-2}, false);
}
TEST_P(Kernels, float16_equals_the_definition) {
  compare_all(kHalf, {5e-4, 5e-4}, {2e-3, 2e-3});
}

TEST_P(Kernels, an_expanded_gradient_is_read_by_its_strides) {
  const BandedAttention a = make({"", {100}, 2, 16, 10, 10}, kDouble);
  const Tensor grad = ones({1}, kDouble).expand(a.q.sizes());
  const BandedForward f = banded_attention_fused_cpu(a);
  const BandedBackward g = banded_attention_fused_cpu_backward(a, grad, f.out, f.lse);
  expect_close(g.grad_v, oracle(a, grad).grad_v, {1e-13, 1e-12}, "grad_v");
}

bool same_bits(const BandedForward& x, const BandedForward& y) {
  return equal(x.out, y.out) && equal(x.lse, y.lse);
}

TEST_P(Kernels, threads_do_not_change_a_bit) {
  for (const ScalarType type : {kFloat, kBFloat16}) {
    const BandedAttention a =
        make({"", {3000, 200}, 3, 32, 60, 70, {1, 2, 1}, 0.1, {{0, 9, 2900}, {0}}}, type);
    const Tensor grad = randn(a.q.sizes(), type);
    const Threads one(1);
    const BandedForward f1 = banded_attention_fused_cpu(a);
    const BandedBackward g1 = banded_attention_fused_cpu_backward(a, grad, f1.out, f1.lse);
    for (int threads : {2, 3, 7}) {
      const Threads several(threads);
      const BandedForward f = banded_attention_fused_cpu(a);
      const BandedBackward g = banded_attention_fused_cpu_backward(a, grad, f.out, f.lse);
      EXPECT_TRUE(same_bits(f, f1));
      EXPECT_TRUE(equal(g.grad_q, g1.grad_q) && equal(g.grad_k, g1.grad_k) && equal(g.grad_v, g1.grad_v));
    }
  }
}

TEST_P(Kernels, a_sequence_in_a_batch_equals_the_sequence_alone_bit_for_bit) {
  for (const ScalarType type : {kFloat, kBFloat16}) {
    const Case c = {"", {130, 777, 64}, 2, 24, 33, 40, {1, 2}, 0.2, {{4}, {0, 500, 776}, {}}};
    const BandedAttention batch = make(c, type);
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
    EXPECT_TRUE(equal(alone.out, all.out.narrow(0, begin, length)));
    EXPECT_TRUE(equal(alone.lse, all.lse.narrow(0, begin, length)));
  }
}

TEST_P(Kernels, an_output_that_is_written_around_the_caches_has_the_same_bits) {
  // Four heads are 4.6 MB, which is streamed; each by itself is not. The blocks of a unit differ as well.
  const Case c = {"", {4500}, 4, 64, 20, 20, {}, 0, {{0, 4000}}, 0, 1, 0, true};
  const BandedAttention a = make(c, kFloat);
  const BandedForward all = banded_attention_fused_cpu(a);
  BandedAttention one = a;
  one.dilation.resize(1);
  for (int64_t head = 0; head < 4; ++head) {
    one.q = a.q.narrow(1, head, 1);
    one.k = a.k.narrow(1, head, 1);
    one.v = a.v.narrow(1, head, 1);
    const BandedForward alone = banded_attention_fused_cpu(one);
    EXPECT_TRUE(equal(all.out.narrow(1, head, 1), alone.out)) << "head " << head;
    EXPECT_TRUE(equal(all.lse.narrow(1, head, 1), alone.lse)) << "head " << head;
  }
}

TEST_P(Kernels, padding_behind_a_mask_does_not_change_a_bit) {
  for (const ScalarType type : {kFloat, kBFloat16}) {
    BandedAttention padded = make({"", {500}, 2, 16, 50, 50}, type);
    BandedAttention bare = padded;
    bare.offsets = {0, 391};
    bare.q = padded.q.narrow(0, 0, 391);
    bare.k = padded.k.narrow(0, 0, 391);
    bare.v = padded.v.narrow(0, 0, 391);
    padded.visible = arange(500).lt(391).to(kByte);
    padded.q.narrow(0, 391, 109).fill_(std::numeric_limits<float>::quiet_NaN());
    padded.k.narrow(0, 391, 109).fill_(std::numeric_limits<float>::quiet_NaN());
    padded.v.narrow(0, 391, 109).fill_(std::numeric_limits<float>::infinity());
    const BandedForward x = banded_attention_fused_cpu(padded), y = banded_attention_fused_cpu(bare);
    EXPECT_TRUE(equal(x.out.narrow(0, 0, 391), y.out));
    EXPECT_TRUE(equal(x.lse.narrow(0, 0, 391), y.lse));
    EXPECT_EQ(max_magnitude(x.out.narrow(0, 391, 109)), 0);
    const Tensor grad = randn(padded.q.sizes(), type);
    const BandedBackward gx = banded_attention_fused_cpu_backward(padded, grad, x.out, x.lse);
    const BandedBackward gy = banded_attention_fused_cpu_backward(bare, grad.narrow(0, 0, 391), y.out, y.lse);
    EXPECT_TRUE(equal(gx.grad_q.narrow(0, 0, 391), gy.grad_q));
    EXPECT_TRUE(equal(gx.grad_k.narrow(0, 0, 391), gy.grad_k));
    EXPECT_TRUE(equal(gx.grad_v.narrow(0, 0, 391), gy.grad_v));
    EXPECT_EQ(max_magnitude(gx.grad_k.narrow(0, 391, 109)), 0);
  }
}

TEST_P(Kernels, a_nan_in_a_visible_key_reaches_exactly_the_queries_that_see_it) {
  BandedAttention a = make({"", {300}, 1, 16, 20, 10}, kFloat);
  a.k[150].fill_(std::numeric_limits<float>::quiet_NaN());
  const Tensor nan = banded_attention_fused_cpu(a).out.isnan();
  for (int64_t i = 0; i < 300; ++i) EXPECT_EQ(count_nonzero(nan[i]), i >= 140 && i <= 170 ? 16 : 0) << i;
}

TEST_P(Kernels, probabilities_of_equal_scores_are_exactly_equal) {
  BandedAttention a = make({"", {64}, 1, 16, 7, 0}, kFloat);
  a.q.zero_();
  a.v.fill_(1);
  const BandedForward f = banded_attention_fused_cpu(a);
  EXPECT_TRUE(equal(f.out, ones(f.out.sizes(), f.out.options())));
  EXPECT_FLOAT_EQ(item(f.lse[63][0]), std::log(8.0f));
}

FOR_EACH_INSTRUCTION_SET(Kernels);

TEST(Isa, an_unknown_name_is_an_error_that_lists_the_known_ones) {
  setenv("LONGFORMER_CPU_ISA", "avx1024", 1);
  try {
    cpu::active_isa();
    ADD_FAILURE() << "no error";
  } catch (const std::invalid_argument& e) {
    EXPECT_NE(std::string(e.what()).find("avx1024"), std::string::npos);
    EXPECT_NE(std::string(e.what()).find("portable, avx2, avx512, amx"), std::string::npos);
  }
  unsetenv("LONGFORMER_CPU_ISA");
}

TEST(Isa, without_the_variable_the_widest_is_taken) {
  unsetenv("LONGFORMER_CPU_ISA");
  EXPECT_EQ(cpu::active_instruction_set(), cpu::instruction_sets().back());
}

}  // namespace
