// _pooled_tokens on a CPU against float64, for every instruction set.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "../ops/operators.h"
#include "kernels_isa.h"

using namespace longformer;
using namespace longformer::test;

namespace {

Tensor pool(const Tensor& queries, const Tensor& hidden, const OptionalTensor& mask, IntList offsets) {
  return call<Tensor>("_pooled_tokens", queries, hidden, mask, offsets);
}

// The definition, a sequence at a time.
Tensor exact(const Tensor& queries, const Tensor& hidden, const OptionalTensor& mask, IntList offsets) {
  const Tensor out = zeros(queries.sizes(), kDouble);
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    Tensor tokens = part(hidden, 0, offsets[s], offsets[s + 1]).to(kDouble);
    if (mask.has_value()) {
      std::vector<int64_t> visible;
      const Doubles flags = values(part(*mask, 0, offsets[s], offsets[s + 1]));
      for (size_t i = 0; i < flags.size(); ++i)
        if (flags[i] != 0) visible.push_back(static_cast<int64_t>(i));
      tokens = tokens.index_select(0, from_values(visible));
    }
    if (tokens.size(0) == 0) continue;
    const auto row = static_cast<int64_t>(s);
    const Tensor scores = matmul(queries[row].to(kDouble), tokens.t());
    out[row].copy_(matmul(scores.softmax(-1), tokens));
  }
  return out;
}

using PooledTokens = OfInstructionSet;

void compare_all(Tensor (*pool_with)(const Tensor&, const Tensor&, const OptionalTensor&, IntList)) {
  const std::vector<int64_t> offsets = {0, 1, 1, 34, 334, 900};
  for (ScalarType type : {kFloat, kDouble, kBFloat16, kHalf})
    for (int64_t channels : {1, 15, 16, 33, 80, 192})
      for (int64_t rows : {1, 2, 5, 6, 12, 49, 100})
        for (bool masked : {false, true}) {
          const auto wide = type == kDouble ? kDouble : kFloat;
          const Tensor queries = randn({5, rows, channels}, wide) * (1 / std::sqrt(double(channels))),
                       hidden = randn({900, channels}, type);
          const OptionalTensor mask = masked ? OptionalTensor(random_mask({900}, 0.6)) : OptionalTensor();
          const Tensor out = pool_with(queries, hidden, mask, offsets);
          ASSERT_EQ(out.scalar_type(), wide);
          // The tokens' values are exact in the type of the computation, for every type of theirs.
          ASSERT_LT(largest_difference(out, exact(queries, hidden, mask, offsets)),
                    type == kDouble ? 1e-13 : 1e-5)
              << name_of(type) << " " << channels << " channels, " << rows << " rows, mask " << masked;
        }
}

TEST_P(PooledTokens, equal_float64_for_every_dtype_shape_and_mask) {
  compare_all(pool);
}

TEST(PooledTokensByAten, equal_float64_for_every_dtype_shape_and_mask) {
  reseed(17);
  compare_all([](const Tensor& queries, const Tensor& hidden, const OptionalTensor& mask, IntList offsets) {
    return pooled_tokens_by_aten(queries, hidden, or_none(mask), offsets);
  });
}

TEST_P(PooledTokens, large_scores_neither_overflow_nor_lose_the_largest) {
  const Tensor hidden = randn({500, 32}) * 30.0, queries = randn({1, 7, 32}) * 30.0;
  EXPECT_LT(largest_difference(pool(queries, hidden, {}, {0, 500}), exact(queries, hidden, {}, {0, 500})),
            2e-2);
  // One token far above the others is taken nearly alone.
  Tensor spike = zeros({300, 16}, kFloat);
  spike[271].fill_(5);
  EXPECT_LT(largest_difference(pool(ones({1, 1, 16}, kFloat) * 100.0, spike, {}, {0, 300}),
                               full({1, 1, 16}, 5, kFloat)),
            1e-6);
}

TEST_P(PooledTokens, tokens_that_are_not_visible_may_hold_anything) {
  Tensor hidden = randn({400, 48});
  const Tensor queries = randn({2, 4, 48}), mask = random_mask({400}, 0.5);
  part(mask, 0, 300, 400).fill_(0);
  const Tensor expected = pool(queries, hidden, mask, {0, 300, 400});
  EXPECT_EQ(max_magnitude(expected[1]), 0) << "nothing is visible";
  hidden.masked_fill_(mask.logical_not().unsqueeze(1), std::numeric_limits<float>::quiet_NaN());
  EXPECT_TRUE(equal(pool(queries, hidden, mask, {0, 300, 400}), expected));
}

TEST_P(PooledTokens, do_not_depend_on_threads_or_on_other_sequences) {
  const Tensor hidden = randn({1500, 64}), queries = randn({3, 60, 64});
  const std::vector<int64_t> offsets = {0, 700, 900, 1500};
  const Tensor one = [&] {
    const Threads alone(1);
    return pool(queries, hidden, {}, offsets);
  }();
  EXPECT_TRUE(equal(pool(queries, hidden, {}, offsets), one));
  for (int64_t s = 0; s < 3; ++s) {
    const int64_t begin = offsets[static_cast<size_t>(s)], end = offsets[static_cast<size_t>(s) + 1];
    EXPECT_TRUE(
        equal(pool(part(queries, 0, s, s + 1), part(hidden, 0, begin, end), {}, {0, end - begin})[0], one[s]))
        << s;
  }
}

TEST_P(PooledTokens, read_strided_rows_and_refuse_shapes_that_do_not_fit) {
  const Tensor wide = randn({200, 96}), hidden = part(wide, 1, 13, 77), queries = randn({1, 3, 64});
  EXPECT_LT(largest_difference(pool(queries, hidden, {}, {0, 200}), exact(queries, hidden, {}, {0, 200})),
            5e-6);
  const Tensor turned = randn({64, 200}).t();
  EXPECT_LT(largest_difference(pool(queries, turned, {}, {0, 200}), exact(queries, turned, {}, {0, 200})),
            5e-6);
  EXPECT_EQ(pool(zeros({1, 0, 64}, kFloat), hidden, {}, {0, 200}).sizes(), IntList({1, 0, 64}));
  EXPECT_THROW(pool(queries, part(hidden, 1, 1, 64), {}, {0, 200}), ValueError);
  EXPECT_THROW(pool(queries, hidden, {}, {0, 201}), ValueError);
  EXPECT_THROW(pool(queries, hidden, {}, {0, 100, 200}), ValueError);
  EXPECT_THROW(pool(queries, hidden, ones({199}, kBool), {0, 200}), ValueError);
}

FOR_EACH_INSTRUCTION_SET(PooledTokens);

}  // namespace
