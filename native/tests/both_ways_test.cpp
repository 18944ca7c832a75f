// Every operator gives the same through libtorch's dispatcher, where Python calls it, as by the direct call,
// where C# does: with every option given and with none, bit by bit. Other tests check the
// values.
#include "global_definition.h"

namespace longformer::test {
namespace {

const OptionalTensor none;
const OptionalIntList no_list;
const std::optional<double> no_number;

TensorList listed(const std::tuple<Tensor, Tensor, Tensor>& t) {
  return {std::get<0>(t), std::get<1>(t), std::get<2>(t)};
}
TensorList listed(const std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor>& t) {
  const auto& [a, b, c, d, e] = t;
  return {a, b, c, d, e};
}
TensorList listed(const std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>& t) {
  const auto& [a, b, c, d, e, f] = t;
  return {a, b, c, d, e, f};
}

using Three = std::tuple<Tensor, Tensor, Tensor>;
using Five = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor>;
using Six = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>;

void expect_same_both_ways(const char* what, const std::function<TensorList(Way)>& work) {
  const TensorList direct = work(Way::direct), dispatched = work(Way::dispatcher);
  ASSERT_EQ(direct.size(), dispatched.size()) << what;
  for (size_t i = 0; i < direct.size(); ++i) {
    ASSERT_EQ(direct[i].defined(), dispatched[i].defined()) << what << ", result " << i;
    if (!direct[i].defined()) continue;
    EXPECT_EQ(direct[i].scalar_type(), dispatched[i].scalar_type()) << what << ", result " << i;
    EXPECT_EQ(max_difference(direct[i], dispatched[i]), 0.0) << what << ", result " << i;
  }
}

TEST(BothWays, give_the_same_banded_attention) {
  Problem with = small_problem(), without = with;
  without.mask = without.global_index = Tensor();
  without.dilation.reset();
  without.scale.reset();
  without.dropout = 0.0;
  Problem packed = with;
  packed.packed = true;
  for (Tensor* t : {&packed.q, &packed.k, &packed.v, &packed.grad_out}) *t = t->view({22, 2, 3});
  packed.mask = packed.mask.view({22});
  for (const Problem& p : {with, without, packed})
    for (const char* implementation : {"fused", "chunks", "loop"}) {
      expect_same_both_ways(implementation, [&](Way way) {
        const Result r = run(p, implementation, way);
        return TensorList{r.out, r.lse, r.grad_q, r.grad_k, r.grad_v};
      });
      expect_same_both_ways("probabilities",
                            [&](Way way) { return TensorList{banded_probabilities(p, way)}; });
    }
}

TEST(BothWays, give_the_same_global_attention) {
  for (const uint64_t seed : {1, 2, 3, 4}) {
    GlobalProblem p = random_global_problem(seed, kFloat, 4);
    const Tensor k = p.key(), v = p.value();
    const GlobalOptions o = p.options();
    expect_same_both_ways("global_attention", [&](Way way) {
      return TensorList{global_attention(p.query, k, v, p.index, p.options(), way)};
    });
    expect_same_both_ways("global_attention_probabilities", [&](Way way) {
      return TensorList{global_probabilities(p.query, k, p.index, p.options(), way)};
    });
    expect_same_both_ways("_global_attention_backward", [&](Way way) {
      return listed(
          call_with<Three>(o, way, "_global_attention_backward", p.grad_out, p.query, k, v, p.index));
    });
    for (const bool biases : {true, false}) {
      const OptionalTensor bk = biases ? OptionalTensor(p.key_bias) : none,
                           bv = biases ? OptionalTensor(p.value_bias) : none;
      expect_same_both_ways("folded_global_attention", [&](Way way) {
        return TensorList{folded_global_attention(p.query, p.hidden, p.key_weight, bk, p.value_weight, bv,
                                                  p.index, p.options(), way)};
      });
      expect_same_both_ways("_folded_global_attention_backward", [&](Way way) {
        return listed(call_with<Six>(o, way, "_folded_global_attention_backward", p.grad_out, p.query,
                                     p.hidden, p.key_weight, bk, p.value_weight, bv, p.index));
      });
    }
  }
}

TEST(BothWays, give_the_same_linear_and_layer_norm) {
  Rng rng(1);
  const Tensor x = random_tensor(rng, {5, 16}, kFloat), w = random_tensor(rng, {8, 16}, kFloat),
               g = random_tensor(rng, {5, 8}, kFloat);
  const OptionalTensor b = random_tensor(rng, {8}, kFloat), r = random_tensor(rng, {5, 8}, kFloat);
  const Tensor weight = random_tensor(rng, {16}, kFloat), bias = random_tensor(rng, {16}, kFloat);
  for (const bool options : {true, false}) {
    const OptionalTensor bias_or_not = options ? b : none, residual = options ? r : none;
    const char* activation = options ? "gelu" : "none";
    expect_same_both_ways("linear", [&](Way way) {
      const Tensor packed = call<Tensor>(way, "linear_pack", w);
      return TensorList{
          call<Tensor>(way, "linear", x, w, bias_or_not, none, activation, residual),
          call<Tensor>(way, "linear", x, w, bias_or_not, OptionalTensor(packed), activation, residual)};
    });
    expect_same_both_ways("_linear_backward", [&](Way way) {
      return listed(call<Three>(way, "_linear_backward", g, x, w, true, options, options));
    });
    const OptionalTensor sum = options ? OptionalTensor(x.neg().exp()) : none;
    expect_same_both_ways("add_layer_norm", [&](Way way) {
      return TensorList{call<Tensor>(way, "add_layer_norm", x, sum, weight, bias, 1e-5)};
    });
    expect_same_both_ways("_add_layer_norm_backward", [&](Way way) {
      return listed(call<Three>(way, "_add_layer_norm_backward", x.tanh(), x, sum, weight, 1e-5));
    });
  }
  for (const char* name : {"none", "gelu", "gelu_tanh", "relu", "tanh", "silu"})
    expect_same_both_ways(name, [&](Way way) {
      return TensorList{call<Tensor>(way, "activation", g, name),
                        call<Tensor>(way, "_activation_backward", *r, g, name)};
    });
  expect_same_both_ways("hidden_dropout", [&](Way way) {
    return TensorList{call<Tensor>(way, "hidden_dropout", x, 0.25, -7)};
  });
}

TEST(BothWays, give_the_same_embedding) {
  Rng rng(2);
  const Tensor words = random_tensor(rng, {9, 8}, kFloat), positions = random_tensor(rng, {6, 8}, kFloat),
               types = random_tensor(rng, {2, 8}, kFloat), weight = random_tensor(rng, {8}, kFloat),
               bias = random_tensor(rng, {8}, kFloat), grad = random_tensor(rng, {6, 8}, kFloat);
  const OptionalTensor word_ids = random_integers(rng, {6}, 0, 8), type_ids = random_integers(rng, {6}, 0, 1);
  for (const bool options : {true, false}) {
    const OptionalTensor table = options ? OptionalTensor(types) : none, of_table = options ? type_ids : none;
    expect_same_both_ways("embed", [&](Way way) {
      return TensorList{call<Tensor>(way, "embed", words, word_ids, positions, none, table, of_table, weight,
                                     bias, 1e-5, 2.0, 3, -1)};
    });
    expect_same_both_ways("_embed_backward", [&](Way way) {
      return listed(call<Five>(way, "_embed_backward", grad, words, word_ids, positions, none, table,
                               of_table, weight, bias, 1e-5, 2.0, 3, -1));
    });
  }
}

TEST(BothWays, give_the_same_decoding) {
  Rng rng(3);
  const Tensor query = random_tensor(rng, {3, 2, 8}, kFloat);
  const TensorList key{random_tensor(rng, {5, 2, 8}, kFloat), random_tensor(rng, {4, 2, 8}, kFloat)},
      value{random_tensor(rng, {5, 2, 8}, kFloat), random_tensor(rng, {4, 2, 8}, kFloat)},
      mask{integer_tensor({1, 0, 1, 1, 1}, {5}).to(kBool), empty({0}, kBool)};
  const std::vector<int64_t> rows{1, 2};
  expect_same_both_ways("decode_attention with masks", [&](Way way) {
    return TensorList{
        call<Tensor>(way, "decode_attention", query, key, value, rows, mask, std::optional<double>(0.5))};
  });
  expect_same_both_ways("decode_attention", [&](Way way) {
    return TensorList{
        call<Tensor>(way, "decode_attention", query, key, value, rows, TensorList(), no_number)};
  });
  const std::vector<int64_t> of_queries{0, 1, 3}, of_keys{0, 5, 9};
  const Tensor keys = random_tensor(rng, {9, 2, 8}, kFloat), seen = random_tensor(rng, {9}, kFloat).gt(-1.0);
  expect_same_both_ways("_dense_attention", [&](Way way) {
    const auto [out, lse] =
        call<std::tuple<Tensor, Tensor>>(way, "_dense_attention", query, keys, keys, OptionalTensor(seen),
                                         of_queries, of_keys, 0.5, 0.1, int64_t(3));
    const auto [q, k, v] = call<std::tuple<Tensor, Tensor, Tensor>>(
        way, "_dense_attention_backward", query, query, keys, keys, out, lse, OptionalTensor(seen),
        of_queries, of_keys, 0.5, 0.1, int64_t(3));
    return TensorList{out, lse, q, k, v};
  });
  const std::vector<int64_t> offsets{0, 4, 9};
  const Tensor queries = random_tensor(rng, {2, 3, 8}, kFloat), hidden = random_tensor(rng, {9, 8}, kFloat);
  expect_same_both_ways("_pooled_tokens", [&](Way way) {
    return TensorList{call<Tensor>(way, "_pooled_tokens", queries, hidden, none, offsets),
                      call<Tensor>(way, "_pooled_tokens", queries, hidden,
                                   OptionalTensor(hidden.select(1, 0).gt(0.0)), offsets)};
  });
}

TEST(BothWays, refuse_in_the_same_words) {
  const Tensor q = zeros({5, 3, 4}, kFloat);
  BandedOptions options;
  options.implementation = "fused";
  std::string words[2];
  for (const Way way : {Way::direct, Way::dispatcher})
    words[way == Way::direct] = any_error([&] { banded_attention(q, q, q, options, way); });
  expect_words(words[0], {"longformer::banded_attention: query must be [B, T, H, D]", "[5, 3, 4]"});
  EXPECT_TRUE(words[0].find(words[1]) != std::string::npos) << words[0] << " and " << words[1];
}

TEST(BothWays, the_peak_is_a_number) {
  EXPECT_GT(call<double>("_multiply_add_peak"), 0.1);
}

}  // namespace
}  // namespace longformer::test
