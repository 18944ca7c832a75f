// _pooled_tokens' CUDA kernels against the definition in float64, in the emulation.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "../ops/cuda/pooled_tokens_kernel.h"
#include "../ops/operators.h"
#include "cuda_emulation/emulated_kernels.h"
#include "kernels_tensors.h"

using namespace longformer;
using namespace longformer::test;

namespace {

constexpr int kSmall = 1, kLarge = 10000;  // multiprocessors: long chunks, short ones

struct Pooling {
  ScalarType type;
  std::vector<int64_t> lengths;
  int64_t rows, columns;
  double hidden_tokens = 0;  // share that is not visible
  double spread = 1;         // of the scores
  bool strided = false;      // tokens are parts of longer rows
};

struct Tensors {
  Tensor queries, hidden, mask;
  std::vector<int64_t> offsets = {0};
};

Tensors make(const Pooling& c, uint64_t seed) {
  reseed(seed);
  Tensors t;
  for (int64_t length : c.lengths) t.offsets.push_back(t.offsets.back() + length);
  const int64_t tokens = t.offsets.back(), sequences = static_cast<int64_t>(c.lengths.size());
  t.queries = randn({sequences, c.rows, c.columns}) * (c.spread / std::sqrt(static_cast<double>(c.columns)));
  t.hidden = c.strided ? randn({tokens, c.columns + 8}, c.type).narrow(1, 8, c.columns)
                       : randn({tokens, c.columns}, c.type);
  if (c.hidden_tokens > 0) {
    t.mask = random_mask({tokens}, 1 - c.hidden_tokens);
    // Hidden rows may hold anything.
    t.hidden.masked_fill_(t.mask.logical_not().unsqueeze(-1), std::numeric_limits<double>::quiet_NaN());
  }
  return t;
}

Tensor exact(const Tensors& t) {
  Tensor hidden = t.hidden.to(kDouble);
  if (t.mask.defined()) hidden = hidden.masked_fill(t.mask.logical_not().unsqueeze(-1), 0.0);
  TensorList all;
  for (size_t s = 0; s + 1 < t.offsets.size(); ++s) {
    const int64_t begin = t.offsets[s], length = t.offsets[s + 1] - begin;
    const Tensor x = hidden.narrow(0, begin, length);
    Tensor scores = matmul(t.queries[static_cast<int64_t>(s)].to(kDouble), x.t());
    if (t.mask.defined())
      scores = scores.masked_fill(t.mask.narrow(0, begin, length).logical_not(),
                                  -std::numeric_limits<double>::infinity());
    const Tensor weights = scores.softmax(-1);
    all.push_back(matmul(weights.masked_fill(weights.isnan(), 0.0), x));
  }
  return stack(all);
}

Tensor run(const Tensors& t, int multiprocessors, uint64_t seed = 1) {
  EXPECT_TRUE(cuda::pool_serves(t.queries, t.hidden));
  EmulatedLauncher launcher(multiprocessors, seed);
  return cuda::pool_tokens(t.queries, t.hidden, t.mask, t.offsets, launcher);
}

// Queries and weights keep about 16 bits in bfloat16 (22 in float16, which float32 sums hide).
double limit(const Pooling& c) {
  return (c.type == kBFloat16 ? 4e-5 : 4e-6) * std::max(1.0, c.spread);
}

void expect_exact(const Pooling& c, int multiprocessors, uint64_t seed) {
  const Tensors t = make(c, seed);
  const Tensor out = run(t, multiprocessors, seed);
  ASSERT_EQ(out.sizes(), t.queries.sizes());
  EXPECT_LE(largest_difference(out, exact(t)), limit(c))
      << name_of(c.type) << " rows " << c.rows << " columns " << c.columns;
}

TEST(CudaPool, equals_float64_for_every_type_and_width) {
  int seed = 0;
  for (const auto& [type, columns] : std::vector<std::pair<ScalarType, int64_t>>{{kFloat, 256},
                                                                                 {kFloat, 40},
                                                                                 {kFloat, 7},
                                                                                 {kFloat, 1024},
                                                                                 {kBFloat16, 768},
                                                                                 {kBFloat16, 1024},
                                                                                 {kBFloat16, 96},
                                                                                 {kBFloat16, 5},
                                                                                 {kHalf, 128},
                                                                                 {kHalf, 200}})
    for (const bool few_chunks : {true, false})
      expect_exact({type, {67, 0, 130}, 12, columns, few_chunks ? 0.2 : 0.0}, few_chunks ? kSmall : kLarge,
                   ++seed);
}

TEST(CudaPool, random_problems_equal_float64) {
  std::mt19937_64 random(9);
  const auto draw = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  };
  for (int i = 0; i < 24; ++i) {
    Pooling c = {draw(0, 1) ? kBFloat16 : draw(0, 1) ? kHalf : kFloat, {}, 1, 128};
    const int64_t same = draw(0, 2) == 0 ? draw(0, 90) : -1;
    for (int64_t s = draw(1, 4); s > 0; --s)
      c.lengths.push_back(same >= 0 ? same : draw(0, 3) == 0 ? draw(0, 1) : draw(1, 300));
    c.rows = draw(0, 2) == 0 ? draw(17, 40) : draw(1, 16);
    c.columns = c.type == kHalf ? 8 * draw(1, 16) : draw(1, 128);
    c.hidden_tokens = draw(0, 1) ? 0.3 * static_cast<double>(draw(0, 4)) : 0.0;
    c.spread = draw(0, 2) == 0 ? 20.0 : 1.0;
    c.strided = draw(0, 2) == 0;
    if (c.type == kHalf && c.strided) c.columns = 64;
    SCOPED_TRACE("problem " + std::to_string(i));
    expect_exact(c, draw(0, 1) ? kSmall : kLarge, 100 + static_cast<uint64_t>(i));
  }
}

TEST(CudaPool, a_sequence_without_visible_tokens_gives_zeros) {
  Tensors t = make({kBFloat16, {50, 0, 90}, 3, 128, 0.3}, 1);
  t.mask.narrow(0, 0, 50).fill_(false);
  const Tensor out = run(t, kSmall);
  EXPECT_EQ(max_magnitude(out.narrow(0, 0, 2)), 0);
  EXPECT_GT(max_magnitude(out[2]), 0);
}

TEST(CudaPool, queries_beyond_the_range_of_float16_keep_their_scores) {
  Tensors t = make({kHalf, {80}, 5, 128}, 2);
  t.queries = t.queries * 0x1p20;
  t.hidden = t.hidden * 0x1p-10;
  EXPECT_GT(max_magnitude(t.queries), 65504);
  EXPECT_LE(largest_difference(run(t, kSmall), exact(t)), 1e-5);
}

TEST(CudaPool, takes_more_sequences_than_a_launch_has_room_for_offsets) {
  Pooling c = {kFloat, {}, 1, 8};
  for (int64_t s = 0; s < 1000; ++s) c.lengths.push_back(s % 3);
  expect_exact(c, kSmall, 6);
}

TEST(CudaPool, the_order_of_warps_does_not_change_a_bit) {
  const Tensors t = make({kBFloat16, {150, 33}, 20, 128, 0.1}, 3);
  EXPECT_TRUE(equal(run(t, kLarge, 1), run(t, kLarge, 99)));
}

TEST(CudaPool, padding_behind_a_sequence_does_not_change_a_bit) {
  Tensors padded = make({kBFloat16, {128}, 4, 128}, 4), bare = padded;
  bare.hidden = padded.hidden.narrow(0, 0, 70).clone();
  bare.offsets = {0, 70};
  padded.mask = arange(128).lt(70);
  padded.hidden.narrow(0, 70, 58).fill_(std::numeric_limits<float>::quiet_NaN());
  EXPECT_TRUE(equal(run(padded, kLarge), run(bare, kLarge)));
}

TEST(CudaPool, a_visible_token_that_is_no_number_shows) {
  Tensors t = make({kBFloat16, {100}, 2, 128}, 5);
  t.hidden[70].fill_(std::numeric_limits<float>::quiet_NaN());
  EXPECT_TRUE(all_of(run(t, kLarge).isnan()));
}

TEST(CudaPool, what_the_kernels_do_not_serve_is_left_to_libtorch) {
  const Tensor q = ones({1, 2, 1032}, kFloat), h = ones({3, 1032}, kFloat);
  EXPECT_FALSE(cuda::pool_serves(q, h));
  EXPECT_TRUE(cuda::pool_serves(q.narrow(2, 0, 1024), h.narrow(1, 0, 1024)));
  EXPECT_FALSE(cuda::pool_serves(ones({1, 2, 8}, kDouble), ones({3, 8}, kDouble)));
}

}  // namespace
