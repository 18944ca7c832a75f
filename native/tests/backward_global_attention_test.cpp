// The gradients of global_attention and of its folded form against the definition on the host, whose own
// gradients are checked by central differences (global_attention_test.cpp).
#include <cmath>

#include "global_definition.h"

namespace longformer::test {
namespace {

using Three = std::tuple<Tensor, Tensor, Tensor>;
using Six = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>;

OptionalTensor optional(const Tensor& t) {
  return t.defined() ? OptionalTensor(t) : OptionalTensor();
}

Three backward(const GlobalProblem& p, const Tensor& k, const Tensor& v, Way way = Way::direct) {
  return call_with<Three>(p.options(), way, "_global_attention_backward", p.grad_out, p.query, k, v, p.index);
}
Six folded_backward(const GlobalProblem& p, Way way = Way::direct) {
  return call_with<Six>(p.options(), way, "_folded_global_attention_backward", p.grad_out, p.query, p.hidden,
                        p.key_weight, optional(p.key_bias), p.value_weight, optional(p.value_bias), p.index);
}

void expect_close(const Tensor& given, const Tensor& expected, double relative) {
  ASSERT_EQ(given.sizes(), expected.sizes());
  EXPECT_LE(max_difference(given, expected), relative * (1.0 + max_magnitude(expected)));
}

TEST(BackwardGlobalAttention, equals_the_definition) {
  for (uint64_t seed = 0; seed < 80; ++seed) {
    SCOPED_TRACE(seed);
    const GlobalProblem p = random_global_problem(seed, kDouble, 5);
    const Tensor k = p.key(), v = p.value();
    const GlobalResult expected = global_definition(p, k, v);
    const auto [q_grad, k_grad, v_grad] = backward(p, k, v);
    expect_close(q_grad, expected.grad_query, 1e-11);
    expect_close(k_grad, expected.grad_key, 1e-11);
    expect_close(v_grad, expected.grad_value, 1e-11);
  }
}

void expect_folded(const GlobalProblem& p, const Six& given, double relative) {
  const FoldedResult expected = folded_definition(p);
  const auto& [query, hidden, key_weight, key_bias, value_weight, value_bias] = given;
  expect_close(query, expected.grad_query, relative);
  expect_close(hidden, expected.grad_hidden, relative);
  expect_close(key_weight, expected.grad_key_weight, relative);
  expect_close(value_weight, expected.grad_value_weight, relative);
  ASSERT_EQ(key_bias.defined(), p.key_bias.defined());
  ASSERT_EQ(value_bias.defined(), p.value_bias.defined());
  if (key_bias.defined()) expect_close(key_bias, expected.grad_key_bias, relative);
  if (value_bias.defined()) expect_close(value_bias, expected.grad_value_bias, relative);
}

TEST(BackwardGlobalAttention, folded_equals_the_definition) {
  // Up to 30 globals with at most 12 dimensions of a head: both the folded and the projected way are taken.
  for (uint64_t seed = 100; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    GlobalProblem p = random_global_problem(seed, kDouble, seed % 2 ? 3 : 30);
    expect_folded(p, folded_backward(p), 1e-11);
    (seed % 3 == 0 ? p.key_bias : p.value_bias) = Tensor();
    expect_folded(p, folded_backward(p), 1e-11);
  }
}

TEST(BackwardGlobalAttention, is_precise_in_other_types_and_through_the_dispatcher) {
  for (const ScalarType type : {kFloat, kBFloat16, kHalf})
    for (uint64_t seed = 200; seed < 240; ++seed) {
      SCOPED_TRACE(text(type, " ", seed));
      const GlobalProblem p = random_global_problem(seed, type, seed % 2 ? 3 : 30);
      const Six given = folded_backward(p, seed % 4 == 0 ? Way::dispatcher : Way::direct);
      expect_folded(p, given, type == kFloat ? 1e-4 : type == kHalf ? 4e-3 : 3e-2);
      EXPECT_EQ(std::get<0>(given).scalar_type(), type);
      EXPECT_EQ(std::get<2>(given).scalar_type(), type);
    }
}

TEST(BackwardGlobalAttention, what_is_not_visible_may_hold_nan_and_gets_zeros) {
  int checked = 0;
  for (uint64_t seed = 0; seed < 200 && checked < 12; ++seed) {
    GlobalProblem p = random_global_problem(seed, kDouble, seed % 2 ? 3 : 30);
    if (!p.mask.defined() || count_nonzero(p.mask) == p.mask.numel()) continue;
    SCOPED_TRACE(seed);
    ++checked;
    const Six clean = folded_backward(p);
    const Tensor hidden_tokens = p.mask.eq(0).unsqueeze(-1);
    p.hidden = p.hidden.masked_fill(hidden_tokens, std::nan(""));
    const Six given = folded_backward(p);
    expect_close(std::get<0>(given), std::get<0>(clean), 1e-12);
    expect_close(std::get<1>(given), std::get<1>(clean), 1e-12);
    expect_close(std::get<2>(given), std::get<2>(clean), 1e-12);
    expect_close(std::get<4>(given), std::get<4>(clean), 1e-12);
    const Tensor of_them = std::get<1>(given).masked_fill(hidden_tokens.logical_not(), 0.0);
    EXPECT_EQ(max_magnitude(of_them), 0.0);
  }
  EXPECT_EQ(checked, 12);
}

TEST(BackwardGlobalAttention, refuses_a_gradient_of_another_shape) {
  GlobalProblem p = random_global_problem(1, kDouble, 3);
  p.grad_out = zeros({1, 2, 3}, kDouble);
  expect_words(value_error([&] { folded_backward(p); }),
               {"_folded_global_attention_backward: grad_output must have the shape of query", "[1, 2, 3]"});
  expect_words(value_error([&] { backward(p, p.key(), p.value()); }),
               {"_global_attention_backward: grad_output must have the shape of query", "[1, 2, 3]"});
}

}  // namespace
}  // namespace longformer::test
