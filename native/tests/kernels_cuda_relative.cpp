// The CUDA kernels of the attention with relative positions against the dense definition (loop) in double
// precision, on the CPU: the kernels' own text in the emulation, as kernels_cuda_attention.cpp.
#include <gtest/gtest.h>

#include <random>

#include "../ops/cuda/banded_attention_kernel.h"
#include "cuda_emulation/emulated_kernels.h"
#include "kernels_cases.h"

using namespace longformer;
using namespace longformer::test;

namespace {

constexpr int kSmall = 1, kLarge = 10000;  // multiprocessors: few chunks of queries, as many as there can be

struct Results {
  BandedForward forward;
  BandedBackward backward;
};

// A case with a table that has a row for every distance, `spare` more on either side, and biases or none.
BandedAttention make_relative(const Case& c, ScalarType type, bool biased, int64_t seed = 1,
                              int64_t spare = 0) {
  BandedAttention a = make(c, type, seed);
  int64_t longest = 1, left = 0, right = 0;
  for (const int64_t length : c.lengths) longest = std::max(longest, length);
  for (const int64_t d : a.dilation) {
    left = std::max(left, std::min(a.window_left * d, longest - 1));
    right = std::max(right, std::min(a.window_right * d, longest - 1));
  }
  a.relative_zero = right + spare;
  a.relative = randn({left + right + 1 + 2 * spare, c.heads, c.dim}, type);
  if (biased) {
    a.content_bias = randn({c.heads, c.dim}, type);
    a.position_bias = randn({c.heads, c.dim}, type);
  }
  return a;
}

Results run(const BandedAttention& a, const Tensor& grad, int multiprocessors, uint64_t seed = 1) {
  EmulatedLauncher launcher(multiprocessors, seed);
  Results r;
  r.forward = cuda::banded_forward(a, launcher);
  r.backward = cuda::banded_backward(a, grad, r.forward.out, r.forward.lse, launcher);
  return r;
}

Results definition(BandedAttention a, const Tensor& grad) {
  for (Tensor* t : {&a.q, &a.k, &a.v, &a.relative, &a.content_bias, &a.position_bias})
    if (t->defined()) *t = t->to(kDouble);
  Results r;
  r.forward = banded_attention_loop(a);
  r.backward = banded_attention_loop_backward(a, grad.to(kDouble), r.forward.out, r.forward.lse);
  return r;
}

Tensor gradient_of(const BandedAttention& a) {
  reseed(2);
  return randn(a.q.sizes(), a.q.scalar_type());
}

void compare(const Results& r, const Results& expected, const Limits& forward, const Limits& backward) {
  expect_close(r.forward.out, expected.forward.out, forward, "out");
  expect_close(r.forward.lse, expected.forward.lse, {forward.atol, forward.rtol}, "lse");
  expect_close(r.backward.grad_q, expected.backward.grad_q, backward, "grad_q");
  expect_close(r.backward.grad_k, expected.backward.grad_k, backward, "grad_k");
  expect_close(r.backward.grad_v, expected.backward.grad_v, backward, "grad_v");
  expect_close(r.backward.grad_relative, expected.backward.grad_relative, backward, "grad_relative");
  expect_close(r.backward.grad_content_bias, expected.backward.grad_content_bias, backward,
               "grad_content_bias");
  expect_close(r.backward.grad_position_bias, expected.backward.grad_position_bias, backward,
               "grad_position_bias");
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"one_token", {1}, 2, 8, 4, 0},
      {"causal", {200}, 2, 64, 40, 0},
      {"both_sides", {150}, 2, 32, 20, 33},
      {"window_of_one_token", {70}, 1, 32, 0, 0},
      {"forward_only", {99}, 1, 32, 0, 17},
      {"longer_than_the_sequence", {90}, 1, 32, 500, 1000000000},
      {"packed_with_empty_ones", {65, 0, 1, 130, 0, 63}, 2, 64, 20, 3},
      {"dilation_per_head", {201}, 3, 32, 9, 4, {1, 2, 5}},
      {"dilation_beyond_the_length", {23}, 2, 32, 4, 4, {9, 50}},
      {"masked_half", {160}, 1, 64, 20, 0, {}, 0.5},
      {"masked_all", {80}, 1, 32, 20, 20, {}, 1.1},
      {"dropout_dilated", {140}, 2, 64, 30, 0, {1, 2}, 0, {}, 0.3},
      {"dropout_and_mask", {100}, 1, 32, 30, 5, {}, 0.2, {}, 0.5},
      {"odd_addresses", {110}, 2, 63, 25, 2},
      {"odd_narrow", {60}, 2, 7, 11, 2, {}, 0.1},
      {"wide", {90}, 1, 120, 25, 0, {}, 0.1, {}, 0.2},
      {"negative_scale", {100}, 1, 32, 20, 0, {}, 0, {}, 0, 1, -0.7},
  };
  return all;
}

void compare_all(ScalarType type, const std::vector<int64_t>& padded_dims, const Limits& forward,
                 const Limits& backward) {
  bool turn = false;
  int compared = 0;
  for (Case c : cases()) {
    if (type == kFloat && c.dim == 64) c.dim = 32;
    if (type != kFloat && c.dim < 63) c.dim = c.dim % 2 ? 63 : 64;
    if (std::find(padded_dims.begin(), padded_dims.end(), (c.dim + 31) / 32 * 32) == padded_dims.end())
      continue;
    turn = !turn;
    const BandedAttention a = make_relative(c, type, turn, 1, turn ? 3 : 0);
    const Tensor grad = gradient_of(a);
    SCOPED_TRACE(c.name);
    const double more = 1 / (1 - c.dropout);
    compare(run(a, grad, turn ? kSmall : kLarge), definition(a, grad),
            {forward.atol * more, forward.rtol * more}, {backward.atol * more, backward.rtol * more});
    ++compared;
  }
  EXPECT_GE(compared, 10);
}

TEST(CudaRelativeAttention, float32_equals_the_definition) {
  compare_all(kFloat, {32}, {4e-6, 2e-5}, {1e-5, 4e-5});
}
TEST(CudaRelativeAttention, bfloat16_equals_the_definition) {
  compare_all(kBFloat16, {64, 128}, {2e-2, 2e-2}, {4e-2, 4e-2});
}
TEST(CudaRelativeAttention, other_types_and_widths_equal_the_definition) {
  for (const ScalarType type : {kFloat, kHalf}) {
    const BandedAttention a = make_relative({"", {130}, 1, 64, 30, 2}, type, true);
    const Tensor grad = gradient_of(a);
    const double limit = type == kFloat ? 1e-5 : 6e-3;
    compare(run(a, grad, kSmall), definition(a, grad), {limit, limit}, {4 * limit, 4 * limit});
  }
}

TEST(CudaRelativeAttention, random_options_equal_the_definition) {
  std::mt19937_64 random(20261129);
  const auto draw = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  };
  for (int i = 0; i < 16; ++i) {
    Case c = {"random", {}};
    for (int64_t s = draw(1, 3); s > 0; --s) c.lengths.push_back(draw(0, 4) == 0 ? draw(0, 2) : draw(1, 120));
    const bool float32 = draw(0, 1) == 0;
    c.heads = draw(1, 2);
    c.dim = float32 ? draw(1, 32) : draw(33, 64);
    c.left = draw(0, 3) == 0 ? 0 : draw(0, 60);
    c.right = draw(0, 1) == 0 ? 0 : draw(0, 60);
    if (draw(0, 2) == 0)
      for (int64_t h = 0; h < c.heads; ++h) c.dilation.push_back(draw(1, 4));
    if (draw(0, 1)) c.hidden = 0.25 * static_cast<double>(draw(0, 4));
    if (draw(0, 2) == 0) c.dropout = 0.1 * static_cast<double>(draw(1, 6));
    c.fused_projection = draw(0, 1) == 1;
    const BandedAttention a = make_relative(c, float32 ? kFloat : kBFloat16, draw(0, 2) != 0, i, draw(0, 2));
    if (a.q.size(0) == 0) continue;
    SCOPED_TRACE("problem " + std::to_string(i));
    const Tensor grad = gradient_of(a);
    const double more = 1 / (1 - c.dropout), forward = (float32 ? 8e-6 : 2e-2) * more, backward = 3 * forward;
    compare(run(a, grad, draw(0, 1) ? kSmall : kLarge, random()), definition(a, grad), {forward, forward},
            {backward, backward});
  }
}

TEST(CudaRelativeAttention, the_order_of_warps_does_not_change_a_bit) {
  const BandedAttention a = make_relative({"", {150}, 2, 64, 30, 20, {1, 2}, 0.1, {}, 0.1}, kBFloat16, true);
  const Tensor grad = gradient_of(a);
  const Results x = run(a, grad, kSmall, 1), y = run(a, grad, kSmall, 99);
  EXPECT_TRUE(equal(x.forward.out, y.forward.out) && equal(x.backward.grad_q, y.backward.grad_q) &&
              equal(x.backward.grad_k, y.backward.grad_k) && equal(x.backward.grad_v, y.backward.grad_v) &&
              equal(x.backward.grad_relative, y.backward.grad_relative));
}

TEST(CudaRelativeAttention, what_the_kernels_do_not_serve_is_left_to_chunks) {
  EXPECT_TRUE(cuda::serves(make_relative({"", {10}, 1, 128}, kBFloat16, false)));
  EXPECT_TRUE(cuda::serves(make_relative({"", {10}, 1, 64}, kFloat, false)));
  EXPECT_FALSE(cuda::serves(make_relative({"", {10}, 1, 65}, kFloat, false)));
  EXPECT_FALSE(cuda::serves(make_relative({"", {10}, 1, 64}, kDouble, false)));
}

}  // namespace
