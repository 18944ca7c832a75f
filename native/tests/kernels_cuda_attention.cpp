// The CUDA attention kernels against the definition in double precision, on the CPU: the kernels' own text,
// compiled by the C++ compiler, in an emulation that checks every access (cuda_emulation/).
#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "../ops/cuda/banded_attention_kernel.h"
#include "cuda_emulation/emulated_kernels.h"
#include "kernels_cases.h"

using namespace longformer;
using namespace longformer::test;

namespace {

constexpr int kSmall = 1, kLarge = 10000;  // multiprocessors: blocks of many rows, of few

struct Results {
  BandedForward forward;
  BandedBackward backward;
};

Results run(const BandedAttention& a, const Tensor& grad, int multiprocessors, uint64_t seed = 1) {
  EmulatedLauncher launcher(multiprocessors, seed);
  Results r;
  r.forward = cuda::banded_forward(a, launcher);
  r.backward = cuda::banded_backward(a, grad, r.forward.out, r.forward.lse, launcher);
  return r;
}

void compare(const Case& c, const Results& r, const Oracle& expected, const Limits& forward,
             const Limits& backward) {
  const double more = c.spread > 2 ? 20 : 1;
  expect_close(r.forward.out, expected.out, {forward.atol * more, forward.rtol * more}, "out");
  expect_close(r.forward.lse, expected.lse, {1e-6, 1e-6}, "lse");
  const Limits limits = {backward.atol * more, backward.rtol * more};
  expect_close(r.backward.grad_q, expected.grad_q, limits, "grad_q");
  expect_close(r.backward.grad_k, expected.grad_k, limits, "grad_k");
  expect_close(r.backward.grad_v, expected.grad_v, limits, "grad_v");
}

Tensor gradient_of(const BandedAttention& a) {
  reseed(2);
  return randn(a.q.sizes(), a.q.scalar_type());
}

// The larger and the smaller blocks, where a type has both.
void compare_all(ScalarType type, const std::vector<int64_t>& padded_dims, const Limits& forward,
                 const Limits& backward) {
  std::vector<Case> cases = attention_cases();
  cases.push_back(
      {"dim_64_with_globals_and_mask", {210, 40}, 1, 64, 40, 20, {}, 0.2, {{0, 3, 77, 209}, {5}}});
  cases.push_back({"dim_96_with_globals_and_mask", {140}, 1, 96, 40, 20, {}, 0.2, {{0, 3, 77, 139}}});
  cases.push_back({"dim_128_with_globals_and_mask", {140}, 1, 120, 40, 20, {2}, 0.2, {{0, 3, 77, 139}}});
  // Without its mask a hidden key's probability would be 2^(0 - a very negative log-sum-exp): infinite.
  cases.push_back({"masked_with_large_scores", {120}, 1, 32, 30, 30, {}, 0.4, {{0, 50}}, 0, 12});
  bool few = false;
  for (const Case& c : cases) {
    const int64_t padded = (c.dim + 31) / 32 * 32;
    if (c.lengths[0] > 1000 || std::find(padded_dims.begin(), padded_dims.end(), padded) == padded_dims.end())
      continue;
    // Products in float32 are slow to emulate, and have one size of blocks.
    if (type == kFloat && c.lengths[0] * c.dim > 12000) continue;
    const BandedAttention a = make(c, type);
    const Tensor grad = gradient_of(a);
    SCOPED_TRACE(std::string(c.name) + (few ? " small blocks" : " large blocks"));
    compare(c, run(a, grad, few ? kLarge : kSmall), oracle(a, grad), forward, backward);
    few = !few;
  }
}

TEST(CudaAttention, float32_equals_the_definition) {
  compare_all(kFloat, {32, 64, 128}, {2e-6, 1e-5}, {4e-6, 2e-5});
}
TEST(CudaAttention, bfloat16_equals_the_definition) {
  compare_all(kBFloat16, {32, 64, 96, 128}, {8e-3, 8e-3}, {2e-2, 2e-2});
}
TEST(CudaAttention, float16_equals_the_definition) {
  compare_all(kHalf, {64}, {1e-3, 1e-3}, {3e-3, 3e-3});
}

// Options drawn at random, their corner cases often.
TEST(CudaAttention, random_options_equal_the_definition) {
  std::mt19937_64 random(20261121);
  const auto draw = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  };
  for (int i = 0; i < 30; ++i) {
    Case c = {"random", {}};
    for (int64_t s = draw(1, 3); s > 0; --s) c.lengths.push_back(draw(0, 4) == 0 ? draw(0, 2) : draw(1, 150));
    const bool float32 = draw(0, 2) == 0;
    c.heads = draw(1, 2);
    c.dim = float32 || draw(0, 1) ? draw(1, 32) : 8 * draw(5, 8);
    c.left = draw(0, 3) == 0 ? 0 : draw(0, 90);
    c.right = draw(0, 3) == 0 ? 0 : draw(0, 90);
    if (draw(0, 2) == 0)
      for (int64_t h = 0; h < c.heads; ++h) c.dilation.push_back(draw(1, 5));
    if (draw(0, 1)) c.hidden = 0.25 * static_cast<double>(draw(0, 4));
    if (draw(0, 1))
      for (int64_t length : c.lengths) {
        c.globals.emplace_back();
        for (int64_t at = draw(0, 9); at < length; at += draw(1, 40)) c.globals.back().push_back(at);
      }
    if (draw(0, 2) == 0) c.dropout = 0.1 * static_cast<double>(draw(1, 9));
    c.fused_projection = draw(0, 1) == 1;
    const BandedAttention a = make(c, float32 ? kFloat : kBFloat16, i);
    if (a.q.size(0) == 0) continue;
    SCOPED_TRACE("problem " + std::to_string(i));
    const Tensor grad = gradient_of(a);
    const Results r = run(a, grad, draw(0, 1) ? kSmall : kLarge, random());
    // A probability of 0.1 kept is one times 10: so are the rounding errors.
    const double more = 1 / (1 - c.dropout);
    const double forward = (float32 ? 4e-6 : 8e-3) * more, backward = (float32 ? 2e-5 : 3e-2) * more;
    compare(c, r, oracle(a, grad), {forward, forward}, {backward, backward});
  }
}

TEST(CudaAttention, the_order_of_warps_does_not_change_a_bit) {
  const BandedAttention a = make({"", {150}, 2, 64, 30, 20, {1, 2}, 0.1, {{0, 9, 140}}}, kBFloat16);
  const Tensor grad = gradient_of(a);
  const Results x = run(a, grad, kSmall, 1), y = run(a, grad, kSmall, 99);
  EXPECT_TRUE(equal(x.forward.out, y.forward.out) && equal(x.forward.lse, y.forward.lse));
  EXPECT_TRUE(equal(x.backward.grad_q, y.backward.grad_q) && equal(x.backward.grad_k, y.backward.grad_k) &&
              equal(x.backward.grad_v, y.backward.grad_v));
}

TEST(CudaAttention, padding_behind_a_mask_does_not_change_a_bit) {
  BandedAttention padded = make({"", {200}, 1, 64, 50, 50}, kBFloat16);
  padded.visible = arange(200).lt(139).to(kByte);
  BandedAttention bare = padded;
  bare.offsets = {0, 139};
  for (Tensor BandedAttention::*t : {&BandedAttention::q, &BandedAttention::k, &BandedAttention::v}) {
    bare.*t = (padded.*t).narrow(0, 0, 139);
    (padded.*t).narrow(0, 139, 61).fill_(std::numeric_limits<float>::quiet_NaN());
  }
  bare.visible = ones({139}, kByte);
  const Tensor grad = randn(padded.q.sizes()).to(kBFloat16);
  const Results x = run(padded, grad, kSmall), y = run(bare, grad.narrow(0, 0, 139), kSmall);
  const auto same = [](const Tensor& all, const Tensor& part) {
    return equal(all.narrow(0, 0, 139), part) && max_magnitude(all.narrow(0, 139, 61)) == 0;
  };
  EXPECT_TRUE(same(x.forward.out, y.forward.out));
  EXPECT_TRUE(same(x.backward.grad_q, y.backward.grad_q));
  EXPECT_TRUE(same(x.backward.grad_k, y.backward.grad_k));
  EXPECT_TRUE(same(x.backward.grad_v, y.backward.grad_v));
}

TEST(CudaAttention, what_the_kernels_do_not_serve_is_left_to_chunks) {
  EXPECT_TRUE(cuda::serves(make({"", {10}, 1, 128}, kFloat)));
  EXPECT_FALSE(cuda::serves(make({"", {10}, 1, 129}, kFloat)));
  EXPECT_FALSE(cuda::serves(make({"", {10}, 1, 64}, kDouble)));
}

}  // namespace
