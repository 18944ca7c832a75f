// embed through the registered operator: against its steps, one operator after the other, bit by bit, and
// against the definition on the host; what it refuses. Also what _pooled_tokens refuses. Its gradients:
// backward_embed_test.cpp.
#include <cmath>

#include "support.h"

namespace longformer::test {
namespace {

struct Call {
  Tensor words, word_ids, positions, position_ids, types, type_ids, weight, bias;
  double eps = 1e-5, word_scale = 1.0;
  int64_t word_padding = -1, position_padding = -1;

  Tensor operator()(Way way = Way::direct) const {
    const auto or_none = [](const Tensor& t) { return t.defined() ? OptionalTensor(t) : OptionalTensor(); };
    return call<Tensor>(way, "embed", words, or_none(word_ids), positions, or_none(position_ids),
                        or_none(types), or_none(type_ids), weight, bias, eps, word_scale, word_padding,
                        position_padding);
  }
};

Tensor add_layer_norm(const Tensor& input, const Tensor& residual, const Call& c) {
  return call<Tensor>("add_layer_norm", input, OptionalTensor(residual), c.weight, c.bias, c.eps);
}

Tensor rows_of(const Tensor& table, const Tensor& ids, int64_t tokens) {
  if (ids.defined()) return embedding(table, ids);
  return cat(TensorList(static_cast<size_t>(tokens / table.size(0)), table));
}

// One operator after the other.
Tensor in_steps(const Call& c, int64_t tokens) {
  Tensor words = rows_of(c.words, c.word_ids, tokens);
  if (c.word_scale != 1.0) words = words * c.word_scale;
  const Tensor positions = rows_of(c.positions, c.position_ids, tokens);
  return c.types.defined() ? add_layer_norm(words + positions, rows_of(c.types, c.type_ids, tokens), c)
                           : add_layer_norm(words, positions, c);
}

// The definition in double.
Tensor definition(const Call& c, int64_t tokens) {
  const auto rows = [&](const Tensor& table, const Tensor& ids) {
    const Matrix all = matrix_of(table);
    const std::vector<int64_t> id = ids.defined() ? integers(ids) : std::vector<int64_t>();
    Matrix result = matrix(tokens, all.columns);
    for (int64_t n = 0; n < tokens; ++n)
      for (int64_t i = 0; i < all.columns; ++i)
        result.at(n, i) = all.at(id.empty() ? n % all.rows : id[static_cast<size_t>(n)], i);
    return result;
  };
  Matrix sum = rows(c.words, c.word_ids);
  for (double& x : sum.data) x *= c.word_scale;
  const auto add = [&](const Matrix& other) {
    for (size_t e = 0; e < sum.data.size(); ++e) sum.data[e] += other.data[e];
  };
  add(rows(c.positions, c.position_ids));
  if (c.types.defined()) add(rows(c.types, c.type_ids));
  const Doubles weight = values(c.weight), bias = values(c.bias);
  const double columns = static_cast<double>(sum.columns);
  for (int64_t n = 0; n < tokens; ++n) {
    double mean = 0.0, variance = 0.0;
    for (int64_t i = 0; i < sum.columns; ++i) mean += sum.at(n, i) / columns;
    for (int64_t i = 0; i < sum.columns; ++i)
      variance += (sum.at(n, i) - mean) * (sum.at(n, i) - mean) / columns;
    for (int64_t i = 0; i < sum.columns; ++i)
      sum.at(n, i) = (sum.at(n, i) - mean) / std::sqrt(variance + c.eps) * weight[i] + bias[i];
  }
  return tensor_of(sum, {tokens, sum.columns});
}

Call random_call(Rng& rng, ScalarType type, int64_t tokens, int64_t columns) {
  Call c;
  const auto table = [&](int64_t rows) { return random_tensor(rng, {rows, columns}, type); };
  const auto ids = [&](int64_t rows) { return random_integers(rng, {tokens}, 0, rows - 1); };
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
  for (const ScalarType type : {kFloat, kDouble, kBFloat16, kHalf})
    for (int i = 0; i < 20; ++i) {
      const int64_t tokens = uniform(rng, 0, 5) == 0 ? 0 : uniform(rng, 1, 130),
                    columns = uniform(rng, 1, 90);
      const Call c = random_call(rng, type, tokens, columns);
      SCOPED_TRACE(text(type, " tokens ", tokens, " columns ", columns, " scale ", c.word_scale));
      const Tensor out = c();
      ASSERT_EQ(out.sizes(), IntList({tokens, columns}));
      ASSERT_EQ(out.scalar_type(), type);
      if (tokens > 0) {
        ASSERT_EQ(max_difference(out, in_steps(c, tokens)), 0.0);
        if (type == kDouble) {
          ASSERT_LE(max_difference(out, definition(c, tokens)), 1e-10);
        }
      }
    }
}

TEST(Embed, takes_tables_that_are_parts_of_others) {
  Rng rng(2);
  Call c = random_call(rng, kFloat, 12, 8);
  const Tensor expected = in_steps(c, 12);
  for (Tensor Call::*t : {&Call::words, &Call::positions}) {
    const Tensor wide = zeros({(c.*t).size(0), 20}, kFloat);
    wide.narrow(1, 5, 8).copy_(c.*t);
    c.*t = wide.narrow(1, 5, 8);
  }
  EXPECT_EQ(max_difference(c(), expected), 0.0);
}

TEST(Embed, gives_shapes_without_data) {
  const auto meta = TensorOptions(kBFloat16, Device{DeviceType::meta, -1});
  Call c;
  c.words = empty({40, 8}, meta);
  c.word_ids = empty({6}, meta.dtype(kLong));
  c.positions = empty({2, 8}, meta);
  c.weight = c.bias = empty({8}, meta);
  EXPECT_EQ(c().sizes(), IntList({6, 8}));
  EXPECT_EQ(c().scalar_type(), kBFloat16);
}

TEST(Embed, refuses_what_does_not_fit_and_says_what) {
  Rng rng(4);
  struct Refusal {
    std::function<void(Call&)> spoil;
    std::vector<std::string> words;
  };
  const auto longs = [](int64_t n) { return zeros({n}, kLong); };
  const std::vector<Refusal> refusals = {
      {[](Call& c) { c.words = zeros({40}, kFloat); }, {"words must be [rows, C]", "[40]"}},
      {[](Call& c) {
         c.positions = zeros({50, 7}, kFloat);
       },
       {"positions must be [rows, 8]", "[50, 7]"}},
      {[](Call& c) {
         c.types = zeros({2, 9}, kFloat);
       },
       {"types must be [rows, 8]", "[2, 9]"}},
      {[&](Call& c) { c.position_ids = longs(5); }, {"ids of positions", "int64 [6]", "[5]"}},
      {[](Call& c) { c.word_ids = zeros({6}, kInt); }, {"ids of words", "int64 [6]", "Int"}},
      {[](Call& c) { c.position_ids = Tensor(); }, {"without ids", "positions", "6 tokens", "[50, 8]"}},
      {[](Call& c) {
         c.position_ids = Tensor();
         c.positions = zeros({0, 8}, kFloat);
       },
       {"without ids", "[0, 8]"}},
      {[](Call& c) { c.types = Tensor(); }, {"there are ids for types, but no table"}},
      {[](Call& c) { c.weight = zeros({7}, kFloat); }, {"weight and bias must be [8]", "[7]"}},
  };
  for (const Refusal& refusal : refusals) {
    Call c;
    c.words = zeros({40, 8}, kFloat);
    c.word_ids = c.position_ids = c.type_ids = longs(6);
    c.positions = zeros({50, 8}, kFloat);
    c.types = zeros({2, 8}, kFloat);
    c.weight = c.bias = zeros({8}, kFloat);
    refusal.spoil(c);
    const std::string message = value_error([&] { c(); });
    expect_words(message, refusal.words);
  }
}

TEST(Embed, refuses_ids_that_are_no_rows) {
  for (const int64_t id : {int64_t{-1}, int64_t{40}}) {
    Call c;
    c.words = zeros({40, 8}, kFloat);
    c.word_ids = integer_tensor(std::vector<int64_t>(6, id), {6});
    c.positions = zeros({6, 8}, kFloat);
    c.weight = c.bias = zeros({8}, kFloat);
    expect_words(any_error([&] { c(); }), {"longformer::embed: the ids of words", std::to_string(id)});
  }
}

TEST(PooledTokens, refuses_what_does_not_fit) {
  const Tensor queries = zeros({2, 3, 8}, kFloat), hidden = zeros({10, 8}, kFloat);
  const std::vector<std::vector<int64_t>> wrong = {{0, 10}, {0, 4, 9}, {1, 4, 10}, {0, 11, 10}};
  const auto refusal = [&](const Tensor& states, const OptionalTensor& mask,
                           const std::vector<int64_t>& offsets) {
    return value_error([&] { call<Tensor>("_pooled_tokens", queries, states, mask, offsets); });
  };
  for (const std::vector<int64_t>& offsets : wrong)
    expect_words(refusal(hidden, std::nullopt, offsets), {"_pooled_tokens"});
  const std::vector<int64_t> right = {0, 4, 10};
  EXPECT_EQ(refusal(hidden, std::nullopt, right), "");
  expect_words(refusal(zeros({10, 7}, kFloat), std::nullopt, right), {"[10, 7]"});
  expect_words(refusal(hidden, zeros({9}, kBool), right), {"mask"});
}

}  // namespace
}  // namespace longformer::test
