// global_attention and its folded form against a dense evaluation. Their gradients:
// backward_global_attention_test.cpp.
#include <cmath>
#include <numeric>

#include "global_definition.h"

namespace longformer::test {
namespace {

OptionalTensor optional(const Tensor& t) {
  return t.defined() ? OptionalTensor(t) : OptionalTensor();
}

Tensor folded(const GlobalProblem& p, Way way = Way::direct) {
  return folded_global_attention(p.query, p.hidden, p.key_weight, optional(p.key_bias), p.value_weight,
                                 optional(p.value_bias), p.index, p.options(), way);
}

double loss(const Tensor& out, const GlobalProblem& p) {
  const Doubles o = values(out), g = values(p.grad_out);
  return std::inner_product(o.begin(), o.end(), g.begin(), 0.0);
}

TEST(GlobalDefinition, has_the_gradients_of_finite_differences) {
  for (uint64_t seed : {300, 301, 302, 303, 304, 305}) {
    SCOPED_TRACE(seed);
    const GlobalProblem p = random_global_problem(seed, kDouble, 3);
    const FoldedResult r = folded_definition(p);
    expect_finite_differences(
        {p.query, p.hidden, p.key_weight, p.key_bias, p.value_weight, p.value_bias},
        {r.grad_query, r.grad_hidden, r.grad_key_weight, r.grad_key_bias, r.grad_value_weight,
         r.grad_value_bias},
        [&] { return loss(folded_definition(p).out, p); }, 1e-6, 20);
  }
}

TEST(GlobalAttention, equals_the_definition) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    const GlobalProblem p = random_global_problem(seed, kDouble, 5);
    const Tensor k = p.key(), v = p.value();
    ASSERT_LE(
        max_difference(global_attention(p.query, k, v, p.index, p.options()), global_definition(p, k, v).out),
        1e-12);
  }
}

TEST(GlobalAttention, folded_equals_the_definition) {
  // Up to 30 globals with at most 12 dimensions of a head: both the folded and the projected way are taken.
  for (uint64_t seed = 100; seed < 180; ++seed) {
    SCOPED_TRACE(seed);
    GlobalProblem p = random_global_problem(seed, kDouble, seed % 2 ? 3 : 30);
    ASSERT_LE(max_difference(folded(p), folded_definition(p).out), 1e-12);
    p.key_bias = p.value_bias = Tensor();
    ASSERT_LE(max_difference(folded(p), folded_definition(p).out), 1e-12) << "without biases";
  }
}

TEST(GlobalAttention, is_precise_in_16_bits) {
  for (ScalarType type : {kBFloat16, kHalf})
    for (uint64_t seed = 400; seed < 420; ++seed) {
      SCOPED_TRACE(seed);
      const GlobalProblem p = random_global_problem(seed, type, 4);
      // Nothing but the result is rounded.
      const Tensor expected = folded_definition(p).out;
      ASSERT_TRUE(as_good_as(folded(p), expected, expected, type));
    }
}

// libtorch's C interface has no switch for autocast; its C++ function has had this name in every version
// since 2.4.
void set_autocast(bool enabled) {
  using Function = void (*)(int8_t device_type, bool enabled);
  static const auto set = reinterpret_cast<Function>(
      torch::find_function("_ZN2at8autocast20set_autocast_enabledEN3c1010DeviceTypeEb"));
  ASSERT_NE(set, nullptr);
  set(0, enabled);
}

TEST(GlobalAttention, keeps_its_precision_inside_autocast) {
  for (ScalarType type : {kFloat, kBFloat16})
    for (uint64_t seed = 450; seed < 480; ++seed) {
      SCOPED_TRACE(seed);
      GlobalProblem p = random_global_problem(seed, type, 4);
      p.mask = ones(p.token_shape(), kBool);
      p.mask.select(0, 0).zero_();
      const Tensor k = p.key();
      const auto all = [&] {
        return std::vector<Tensor>{folded(p, Way::dispatcher),
                                   global_attention(p.query, k, k, p.index, p.options(), Way::dispatcher),
                                   global_probabilities(p.query, k, p.index, p.options(), Way::dispatcher)};
      };
      const std::vector<Tensor> expected = all();
      set_autocast(true);
      const std::vector<Tensor> given = all();
      set_autocast(false);
      for (size_t i = 0; i < given.size(); ++i) {
        ASSERT_EQ(given[i].scalar_type(), expected[i].scalar_type()) << i;
        ASSERT_EQ(max_difference(given[i], expected[i]), 0.0) << i;
      }
    }
}

TEST(GlobalAttention, probabilities_are_those_that_weigh_the_values) {
  for (uint64_t seed = 500; seed < 530; ++seed) {
    SCOPED_TRACE(seed);
    GlobalProblem p = random_global_problem(seed, kDouble, 4);
    p.dropout = 0.0;
    const Tensor k = p.key(), v = p.value();
    const Doubles out = values(global_attention(p.query, k, v, p.index, p.options())), all = values(v);
    const Tensor probability = global_probabilities(p.query, k, p.index, p.options());  // [S, G, H, L]
    const int64_t longest = probability.size(3);
    const Doubles weights = values(probability);
    size_t row = 0;
    for (size_t s = 0; s < p.lengths.size(); ++s)
      for (int64_t g = 0; g < p.globals; ++g)
        for (int64_t h = 0; h < p.heads; ++h, ++row) {
          Doubles pooled(static_cast<size_t>(p.dim));
          for (int64_t j = 0; j < longest; ++j) {
            const double weight = weights[row * static_cast<size_t>(longest) + static_cast<size_t>(j)];
            if (j >= p.lengths[s])
              ASSERT_EQ(weight, 0.0) << "behind the end of sequence " << s;
            else
              for (int64_t d = 0; d < p.dim; ++d)
                pooled[d] += weight * all[((p.offsets[s] + j) * p.heads + h) * p.dim + d];
          }
          for (int64_t d = 0; d < p.dim; ++d)
            ASSERT_NEAR(pooled[d], out[row * static_cast<size_t>(p.dim) + d], 1e-12);
        }
  }
}

TEST(GlobalAttention, hides_masked_tokens_even_when_they_are_not_numbers) {
  GlobalProblem p = random_global_problem(600, kDouble, 3);
  p.mask = ones(p.token_shape(), kBool);
  p.mask.narrow(p.packed ? 0 : 1, 1, 1).zero_();
  const Tensor expected = folded(p);
  p.hidden.narrow(p.packed ? 0 : 1, 1, 1).fill_(std::nan(""));
  EXPECT_EQ(max_difference(folded(p), expected), 0.0);
}

TEST(GlobalAttention, takes_no_global_tokens_and_no_sequences) {
  const Tensor hidden = zeros({2, 5, 2, 4}, kFloat);
  EXPECT_EQ(global_attention(zeros({2, 0, 2, 4}, kFloat), hidden, hidden, zeros({2, 0}, kLong)).sizes(),
            IntList({2, 0, 2, 4}));
  const Tensor none = zeros({0, 5, 2, 4}, kFloat);
  EXPECT_EQ(global_attention(zeros({0, 3, 2, 4}, kFloat), none, none, zeros({0, 3}, kLong)).sizes(),
            IntList({0, 3, 2, 4}));
}

}  // namespace
}  // namespace longformer::test
