// embed through the registered operator: against ATen's operators one after the other, bit by bit, as models
// computed it before; gradients; what it refuses. Also what _pooled_tokens refuses.
#include <ATen/TensorOperators.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "support.h"

namespace longformer::test {
namespace {

using OptionalTensor = c10::optional<at::Tensor>;

struct Call {
  at::Tensor words, word_ids, positions, position_ids, types, type_ids, weight, bias;
  double eps = 1e-5, word_scale = 1.0;
  int64_t word_padding = -1, position_padding = -1;

  at::Tensor operator()() const {
    using Signature = at::Tensor(const at::Tensor&, const OptionalTensor&, const at::Tensor&,
                                 const OptionalTensor&, const OptionalTensor&, const OptionalTensor&,
                                 const at::Tensor&, const at::Tensor&, double, double, int64_t, int64_t);
    static const auto op =
        c10::Dispatcher::singleton().findSchemaOrThrow("longformer::embed", "").typed<Signature>();
    const auto or_none = [](const at::Tensor& t) {
      return t.defined() ? OptionalTensor(t) : OptionalTensor();
    };
    return op.call(words, or_none(word_ids), positions, or_none(position_ids), or_none(types),
                   or_none(type_ids), weight, bias, eps, word_scale, word_padding, position_padding);
  }
};

at::Tensor add_layer_norm(const at::Tensor& input, const at::Tensor& residual, const Call& c) {
  using Signature =
      at::Tensor(const at::Tensor&, const OptionalTensor&, const at::Tensor&, const at::Tensor&, double);
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("longformer::add_layer_norm", "").typed<Signature>();
  return op.call(input, residual, c.weight, c.bias, c.eps);
}

at::Tensor rows_of(const at::Tensor& table, const at::Tensor& ids, int64_t tokens) {
  return ids.defined() ? at::embedding(table, ids) : table.repeat({tokens / table.size(0), 1});
}

// One operator after the other.
at::Tensor in_steps(const Call& c, int64_t tokens) {
  at::Tensor words = rows_of(c.words, c.word_ids, tokens);
  if (c.word_scale != 1.0) words = words * c.word_scale;
  const at::Tensor positions = rows_of(c.positions, c.position_ids, tokens);
  return c.types.defined() ? add_layer_norm(words + positions, rows_of(c.types, c.type_ids, tokens), c)
                           : add_layer_norm(words, positions, c);
}

Call random_call(Rng& rng, at::ScalarType type, int64_t tokens, int64_t columns) {
  Call c;
  const auto table = [&](int64_t rows) { return random_tensor(rng, {rows, columns}, type); };
  const auto ids = [&](int64_t rows) { return at::randint(0, rows, {tokens}, at::kLong); };
  const bool vectors = uniform(rng, 0, 3) == 0;
  c.words = table(vectors ? tokens : 40);
  if (!vectors) c.word_ids = ids(40);
  const bool shared = tokens % 3 == 0 && uniform(rng, 0, 1) == 1;
  c.positions = table(shared ? std::max<int64_t>(tokens / 3, 1) : 50);
  if (!shared) c.position_ids = ids(50);
  const int64_t types = uniform(rng, 0, 2);  // none, the first for all, by ids
  if (types > 0) c.types = table(types);
  if (types == 2) c.type_ids = ids(2);
  c.weight = random_tensor(rng, {columns}, type);
  c.bias = random_tensor(rng, {columns}, type);
  if (uniform(rng, 0, 2) == 0) c.word_scale = std::sqrt(static_cast<double>(columns));
  return c;
}

TEST(Embed, equals_its_steps_bit_by_bit) {
  Rng rng(1);
  for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kBFloat16, at::kHalf})
    for (int i = 0; i < 20; ++i) {
      const int64_t tokens = uniform(rng, 0, 5) == 0 ? 0 : uniform(rng, 1, 130),
                    columns = uniform(rng, 1, 90);
      const Call c = random_call(rng, type, tokens, columns);
      SCOPED_TRACE(std::string(at::toString(type)) + " tokens " + std::to_string(tokens) + " columns " +
                   std::to_string(columns) + " scale " + std::to_string(c.word_scale));
      const at::Tensor out = c();
      ASSERT_EQ(out.sizes(), at::IntArrayRef({tokens, columns}));
      ASSERT_EQ(out.scalar_type(), type);
      if (tokens > 0) {
        ASSERT_EQ(max_difference(out, in_steps(c, tokens)), 0.0);
      }
    }
}

TEST(Embed, takes_tables_that_are_parts_of_others) {
  Rng rng(2);
  Call c = random_call(rng, at::kFloat, 12, 8);
  const at::Tensor expected = in_steps(c, 12);
  for (at::Tensor Call::*t : {&Call::words, &Call::positions}) {
    const at::Tensor wide = at::zeros({(c.*t).size(0), 20});
    wide.narrow(1, 5, 8).copy_(c.*t);
    c.*t = wide.narrow(1, 5, 8);
  }
  EXPECT_EQ(max_difference(c(), expected), 0.0);
}

TEST(Embed, records_gradients_but_none_for_padding) {
  Rng rng(3);
  Call c = random_call(rng, at::kDouble, 30, 6);
  c.words = random_tensor(rng, {7, 6}, at::kDouble);
  c.word_ids = at::randint(0, 7, {30}, at::kLong);
  c.positions = random_tensor(rng, {9, 6}, at::kDouble);
  c.position_ids = at::randint(0, 9, {30}, at::kLong);
  c.types = random_tensor(rng, {1, 6}, at::kDouble);
  c.type_ids = at::Tensor();
  c.word_scale = 2.5;
  c.word_padding = 3;
  c.position_padding = 1;
  std::vector<at::Tensor> leaves;
  for (at::Tensor Call::*t : {&Call::words, &Call::positions, &Call::types, &Call::weight, &Call::bias})
    leaves.push_back((c.*t).set_requires_grad(true));
  const at::Tensor out = c(), expected = in_steps(c, 30);
  EXPECT_LE(max_difference(out, expected), 1e-12);
  const auto given = torch::autograd::grad({(out * out).sum()}, leaves);
  auto wanted = torch::autograd::grad({(expected * expected).sum()}, leaves);
  wanted[0][3].zero_();
  wanted[1][1].zero_();
  for (size_t i = 0; i < given.size(); ++i)
    EXPECT_LE(max_difference(given[i], wanted[i]), 1e-10) << "input " << i;
}

TEST(Embed, gives_shapes_without_data) {
  const auto meta = at::TensorOptions(at::kBFloat16).device(at::kMeta);
  Call c;
  c.words = at::empty({40, 8}, meta);
  c.word_ids = at::empty({6}, meta.dtype(at::kLong));
  c.positions = at::empty({2, 8}, meta);
  c.weight = c.bias = at::empty({8}, meta);
  EXPECT_EQ(c().sizes(), at::IntArrayRef({6, 8}));
  EXPECT_EQ(c().scalar_type(), at::kBFloat16);
}

TEST(Embed, refuses_what_does_not_fit_and_says_what) {
  Rng rng(4);
  struct Refusal {
    std::function<void(Call&)> spoil;
    std::vector<const char*> words;
  };
  const auto longs = [](int64_t n) { return at::zeros({n}, at::kLong); };
  const std::vector<Refusal> refusals = {
      {[](Call& c) { c.words = at::zeros({40}); }, {"words must be [rows, C]", "[40]"}},
      {[](Call& c) {
         c.positions = at::zeros({50, 7});
       },
       {"positions must be [rows, 8]", "[50, 7]"}},
      {[](Call& c) {
         c.types = at::zeros({2, 9});
       },
       {"types must be [rows, 8]", "[2, 9]"}},
      {[&](Call& c) { c.position_ids = longs(5); }, {"ids of positions", "int64 [6]", "[5]"}},
      {[](Call& c) { c.word_ids = at::zeros({6}, at::kInt); }, {"ids of words", "int64 [6]", "Int"}},
      {[](Call& c) { c.position_ids = at::Tensor(); }, {"without ids", "positions", "6 tokens", "[50, 8]"}},
      {[](Call& c) {
         c.position_ids = at::Tensor();
         c.positions = at::zeros({0, 8});
       },
       {"without ids", "[0, 8]"}},
      {[](Call& c) { c.types = at::Tensor(); }, {"there are ids for types, but no table"}},
      {[](Call& c) { c.weight = at::zeros({7}); }, {"weight and bias must be [8]", "[7]"}},
  };
  for (const Refusal& refusal : refusals) {
    Call c;
    c.words = at::zeros({40, 8});
    c.word_ids = c.position_ids = c.type_ids = longs(6);
    c.positions = at::zeros({50, 8});
    c.types = at::zeros({2, 8});
    c.weight = c.bias = at::zeros({8});
    refusal.spoil(c);
    const std::string message = value_error([&] { c(); });
    for (const char* word : refusal.words)
      EXPECT_NE(message.find(word), std::string::npos) << word << " in: " << message;
  }
}

TEST(Embed, refuses_ids_that_are_no_rows) {
  for (const int64_t id : {int64_t{-1}, int64_t{40}}) {
    Call c;
    c.words = at::zeros({40, 8});
    c.word_ids = at::full({6}, id, at::kLong);
    c.positions = at::zeros({6, 8});
    c.weight = c.bias = at::zeros({8});
    try {
      c();
      ADD_FAILURE() << "no error";
    } catch (const c10::IndexError& e) {
      const std::string message = e.what_without_backtrace();
      EXPECT_NE(message.find("longformer::embed: the ids of words"), std::string::npos) << message;
      EXPECT_NE(message.find(std::to_string(id)), std::string::npos) << message;
    }
  }
}

TEST(PooledTokens, refuses_what_does_not_fit) {
  using Signature = at::Tensor(const at::Tensor&, const at::Tensor&, const OptionalTensor&, at::IntArrayRef);
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("longformer::_pooled_tokens", "").typed<Signature>();
  const at::Tensor queries = at::zeros({2, 3, 8}), hidden = at::zeros({10, 8});
  const std::vector<std::vector<int64_t>> wrong = {{0, 10}, {0, 4, 9}, {1, 4, 10}, {0, 11, 10}};
  for (const std::vector<int64_t>& offsets : wrong)
    EXPECT_NE(value_error([&] { op.call(queries, hidden, c10::nullopt, offsets); }).find("_pooled_tokens"),
              std::string::npos);
  const std::vector<int64_t> right = {0, 4, 10};
  EXPECT_NE(value_error([&] {
              op.call(queries, at::zeros({10, 7}), c10::nullopt, right);
            }).find("[10, 7]"),
            std::string::npos);
  EXPECT_NE(value_error([&] { op.call(queries, hidden, at::zeros({9}, at::kBool), right); }).find("mask"),
            std::string::npos);
}

}  // namespace
}  // namespace longformer::test
