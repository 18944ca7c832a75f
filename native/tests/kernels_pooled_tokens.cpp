// _pooled_tokens on a CPU against float64, for every instruction set.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "../ops/operators.h"
#include "kernels_isa.h"

namespace {

using OptionalTensor = c10::optional<at::Tensor>;

at::Tensor pool(const at::Tensor& queries, const at::Tensor& hidden, const OptionalTensor& mask,
                at::IntArrayRef offsets) {
  static const auto op =
      c10::Dispatcher::singleton()
          .findSchemaOrThrow("longformer::_pooled_tokens", "")
          .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const OptionalTensor&, at::IntArrayRef)>();
  return op.call(queries, hidden, mask, offsets);
}

// The definition, a sequence at a time.
at::Tensor exact(const at::Tensor& queries, const at::Tensor& hidden, const OptionalTensor& mask,
                 at::IntArrayRef offsets) {
  at::Tensor out = at::zeros(queries.sizes(), at::kDouble);
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    at::Tensor tokens = hidden.slice(0, offsets[s], offsets[s + 1]).to(at::kDouble);
    if (mask.has_value())
      tokens = tokens.index({mask->slice(0, offsets[s], offsets[s + 1]).nonzero().squeeze(1)});
    if (tokens.size(0) == 0) continue;
    const auto row = static_cast<int64_t>(s);
    const at::Tensor scores = at::matmul(queries[row].to(at::kDouble), tokens.t());
    out[row].copy_(at::matmul(scores.softmax(-1), tokens));
  }
  return out;
}

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

using PooledTokens = longformer::test::OfInstructionSet;

void compare_all(at::Tensor (*pool_with)(const at::Tensor&, const at::Tensor&, const OptionalTensor&,
                                         at::IntArrayRef)) {
  const std::vector<int64_t> offsets = {0, 1, 1, 34, 334, 900};
  for (at::ScalarType type : {at::kFloat, at::kDouble, at::kBFloat16, at::kHalf})
    for (int64_t channels : {1, 15, 16, 33, 80, 192})
      for (int64_t rows : {1, 2, 5, 6, 12, 49, 100})
        for (bool masked : {false, true}) {
          const auto wide = type == at::kDouble ? at::kDouble : at::kFloat;
          const at::Tensor queries = at::randn({5, rows, channels}, wide) / std::sqrt(double(channels)),
                           hidden = at::randn({900, channels}, at::kDouble).to(type);
          const OptionalTensor mask = masked ? OptionalTensor(at::rand({900}).gt(0.4)) : OptionalTensor();
          const at::Tensor out = pool_with(queries, hidden, mask, offsets);
          ASSERT_EQ(out.scalar_type(), wide);
          // What the tokens hold is exact in the type that is computed with, whatever theirs.
          ASSERT_LT(largest_difference(out, exact(queries, hidden, mask, offsets)),
                    type == at::kDouble ? 1e-13 : 1e-5)
              << c10::toString(type) << " " << channels << " channels, " << rows << " rows, mask " << masked;
        }
}

TEST_P(PooledTokens, equal_float64_for_every_dtype_shape_and_mask) {
  compare_all(pool);
}

TEST(PooledTokensByAten, equal_float64_for_every_dtype_shape_and_mask) {
  at::manual_seed(17);
  compare_all(longformer::pooled_tokens_by_aten);
}

TEST_P(PooledTokens, large_scores_neither_overflow_nor_lose_the_largest) {
  const at::Tensor hidden = at::randn({500, 32}) * 30, queries = at::randn({1, 7, 32}) * 30;
  EXPECT_LT(largest_difference(pool(queries, hidden, {}, {0, 500}), exact(queries, hidden, {}, {0, 500})),
            2e-2);
  // One token far above the others is taken nearly alone.
  at::Tensor spike = at::zeros({300, 16});
  spike[271].fill_(5);
  EXPECT_LT(
      largest_difference(pool(at::ones({1, 1, 16}) * 100, spike, {}, {0, 300}), at::full({1, 1, 16}, 5.0)),
      1e-6);
}

TEST_P(PooledTokens, tokens_that_are_not_visible_may_hold_anything) {
  at::Tensor hidden = at::randn({400, 48});
  const at::Tensor queries = at::randn({2, 4, 48}), mask = at::rand({400}).gt(0.5);
  mask.slice(0, 300, 400).fill_(false);
  const at::Tensor expected = pool(queries, hidden, mask, {0, 300, 400});
  EXPECT_EQ(expected[1].abs().max().item<double>(), 0) << "nothing is visible";
  hidden.masked_fill_(mask.logical_not().unsqueeze(1), std::numeric_limits<float>::quiet_NaN());
  EXPECT_TRUE(at::equal(pool(queries, hidden, mask, {0, 300, 400}), expected));
}

TEST_P(PooledTokens, do_not_depend_on_threads_or_on_other_sequences) {
  const at::Tensor hidden = at::randn({1500, 64}), queries = at::randn({3, 60, 64});
  const std::vector<int64_t> offsets = {0, 700, 900, 1500};
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor one = pool(queries, hidden, {}, offsets);
  at::set_num_threads(before);
  EXPECT_TRUE(at::equal(pool(queries, hidden, {}, offsets), one));
  for (int64_t s = 0; s < 3; ++s) {
    const int64_t begin = offsets[static_cast<size_t>(s)], end = offsets[static_cast<size_t>(s) + 1];
    EXPECT_TRUE(at::equal(
        pool(queries.slice(0, s, s + 1), hidden.slice(0, begin, end), {}, {0, end - begin})[0], one[s]))
        << s;
  }
}

TEST_P(PooledTokens, read_strided_rows_and_refuse_shapes_that_do_not_fit) {
  const at::Tensor wide = at::randn({200, 96}), hidden = wide.slice(1, 13, 77),
                   queries = at::randn({1, 3, 64});
  EXPECT_LT(largest_difference(pool(queries, hidden, {}, {0, 200}), exact(queries, hidden, {}, {0, 200})),
            5e-6);
  const at::Tensor turned = at::randn({64, 200}).t();
  EXPECT_LT(largest_difference(pool(queries, turned, {}, {0, 200}), exact(queries, turned, {}, {0, 200})),
            5e-6);
  EXPECT_EQ(pool(at::zeros({1, 0, 64}), hidden, {}, {0, 200}).sizes(), at::IntArrayRef({1, 0, 64}));
  EXPECT_THROW(pool(queries, hidden.slice(1, 1), {}, {0, 200}), c10::ValueError);
  EXPECT_THROW(pool(queries, hidden, {}, {0, 201}), c10::ValueError);
  EXPECT_THROW(pool(queries, hidden, {}, {0, 100, 200}), c10::ValueError);
  EXPECT_THROW(pool(queries, hidden, at::ones({199}, at::kBool), {0, 200}), c10::ValueError);
}

FOR_EACH_INSTRUCTION_SET(PooledTokens);

}  // namespace
