// The gradients of embed against central differences of the forward operator, with every combination of
// tables, ids and padding rows.
#include <cmath>
#include <numeric>

#include "support.h"

namespace longformer::test {
namespace {

using Five = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor>;

OptionalTensor optional(const Tensor& t) {
  return t.defined() ? OptionalTensor(t) : OptionalTensor();
}

struct Call {
  Tensor words, word_ids, positions, position_ids, types, type_ids, weight, bias, grad;
  double eps = 1e-3, word_scale = 1.0;
  int64_t word_padding = -1, position_padding = -1;

  Tensor forward() const {
    return call<Tensor>("embed", words, optional(word_ids), positions, optional(position_ids),
                        optional(types), optional(type_ids), weight, bias, eps, word_scale, word_padding,
                        position_padding);
  }
  Five backward(Way way = Way::direct) const {
    return call<Five>(way, "_embed_backward", grad, words, optional(word_ids), positions,
                      optional(position_ids), optional(types), optional(type_ids), weight, bias, eps,
                      word_scale, word_padding, position_padding);
  }
  double loss() const {
    const Doubles y = values(forward()), g = values(grad);
    return std::inner_product(y.begin(), y.end(), g.begin(), 0.0);
  }
  Call of_type(ScalarType type) const {
    Call c = *this;
    for (Tensor* t : {&c.words, &c.positions, &c.types, &c.weight, &c.bias, &c.grad})
      if (t->defined()) *t = t->to(type);
    return c;
  }
};

Call random_call(Rng& rng, int64_t tokens, int64_t columns) {
  Call c;
  const auto table = [&](int64_t rows) { return random_tensor(rng, {rows, columns}, kDouble); };
  const auto ids = [&](int64_t rows) { return random_integers(rng, {tokens}, 0, rows - 1); };
  const bool vectors = chance(rng, 0.3);
  c.words = table(vectors ? tokens : 9);
  if (!vectors) c.word_ids = ids(9);
  const bool shared = tokens % 3 == 0 && chance(rng, 0.5);
  c.positions = table(shared ? tokens / 3 : 7);
  if (!shared) c.position_ids = ids(7);
  const int64_t types = uniform(rng, 0, 2);  // none, the first for all, by ids
  if (types > 0) c.types = table(types == 1 ? 1 : 3);
  if (types == 2) c.type_ids = ids(3);
  c.weight = random_tensor(rng, {columns}, kDouble);
  c.bias = random_tensor(rng, {columns}, kDouble);
  c.grad = random_tensor(rng, {tokens, columns}, kDouble);
  if (chance(rng, 0.5)) c.word_scale = 1.5;
  return c;
}

TEST(BackwardEmbed, equals_finite_differences) {
  Rng rng(1);
  for (int round = 0; round < 30; ++round) {
    SCOPED_TRACE(round);
    const Call c = random_call(rng, uniform(rng, 1, 5) * 3 + round % 2, uniform(rng, 2, 20));
    const auto [words, positions, types, weight, bias] =
        c.backward(round % 3 == 0 ? Way::dispatcher : Way::direct);
    ASSERT_EQ(types.defined(), c.types.defined());
    TensorList inputs = {c.words, c.positions, c.weight, c.bias},
               gradients = {words, positions, weight, bias};
    if (types.defined()) inputs.push_back(c.types), gradients.push_back(types);
    expect_finite_differences(
        inputs, gradients, [&] { return c.loss(); }, 1e-6, 25);
  }
}

TEST(BackwardEmbed, padding_rows_get_zeros_and_others_are_as_before) {
  Rng rng(2);
  for (int round = 0; round < 20; ++round) {
    Call c = random_call(rng, 24, 70);
    if (!c.word_ids.defined() || !c.position_ids.defined()) continue;
    SCOPED_TRACE(round);
    const Five whole = c.backward();
    c.word_padding = integers(c.word_ids)[3];
    c.position_padding = integers(c.position_ids)[5];
    const Five given = c.backward();
    EXPECT_EQ(max_magnitude(std::get<0>(given)[c.word_padding]), 0.0);
    EXPECT_EQ(max_magnitude(std::get<1>(given)[c.position_padding]), 0.0);
    const auto without = [](const Tensor& t, int64_t row) {
      return t.clone().index_fill_(0, integer_tensor({row}, {1}), 0.0);
    };
    EXPECT_EQ(max_difference(std::get<0>(given), without(std::get<0>(whole), c.word_padding)), 0.0);
    EXPECT_EQ(max_difference(std::get<1>(given), without(std::get<1>(whole), c.position_padding)), 0.0);
    EXPECT_EQ(max_difference(std::get<3>(given), std::get<3>(whole)), 0.0);
  }
}

TEST(BackwardEmbed, is_as_precise_as_its_type) {
  Rng rng(3);
  for (const ScalarType type : {kFloat, kBFloat16, kHalf})
    for (int round = 0; round < 10; ++round) {
      SCOPED_TRACE(text(type, " ", round));
      const Call c = random_call(rng, 60, 96).of_type(type);
      const Five given = c.backward(), truth = c.of_type(kDouble).backward();
      // Many tokens share a row, and a sum of two is rounded before it is normalized.
      const double allowed = type == kFloat ? 1e-4 : type == kHalf ? 0.03 : 0.25;
      const auto check = [&](const Tensor& x, const Tensor& y) {
        ASSERT_EQ(x.defined(), y.defined());
        if (!x.defined()) return;
        EXPECT_EQ(x.scalar_type(), type);
        EXPECT_LE(max_difference(x, y), allowed * (1.0 + max_magnitude(y) / 8));
      };
      check(std::get<0>(given), std::get<0>(truth));
      check(std::get<1>(given), std::get<1>(truth));
      check(std::get<2>(given), std::get<2>(truth));
      check(std::get<3>(given), std::get<3>(truth));
      check(std::get<4>(given), std::get<4>(truth));
    }
}

TEST(BackwardEmbed, refuses_what_does_not_fit) {
  Rng rng(4);
  Call c = random_call(rng, 6, 8);
  c.grad = zeros({6, 9}, kDouble);
  expect_words(value_error([&] { c.backward(); }), {"_embed_backward: grad_output must be [6, 8]", "[6, 9]"});
  c.grad = zeros({6, 8}, kDouble);
  c.words = random_tensor(rng, {9, 8}, kDouble);
  c.word_ids = integer_tensor({0, 1, 2, 3, 4, 9}, {6});
  expect_words(any_error([&] { c.backward(); }),
               {"the ids of words must be rows of [9, C]", "given 9 for token 5"});
}

}  // namespace
}  // namespace longformer::test
