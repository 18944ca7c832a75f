// global_attention and its folded form against a dense evaluation, forward and gradient.
#include <ATen/TensorOperators.h>
#include <ATen/autocast_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/version.h>

#include "support.h"

namespace longformer::test {
namespace {

// Random sequences, hidden states and weights; keys and values follow from them.
struct GlobalProblem {
  std::vector<int64_t> lengths, offsets;
  bool packed;
  int64_t heads, dim, channels, globals;
  at::Tensor query, hidden, key_weight, key_bias, value_weight, value_bias, index, mask, grad_out;
  double dropout = 0.0;

  GlobalOptions options() const {
    return {mask.defined() ? c10::optional<at::Tensor>(mask) : c10::nullopt,
            packed ? at::OptionalIntArrayRef(offsets) : at::OptionalIntArrayRef(), c10::nullopt, dropout, 11};
  }
  std::vector<int64_t> token_shape() const {
    if (packed) return {offsets.back()};
    return {static_cast<int64_t>(lengths.size()), lengths[0]};
  }
  at::Tensor projected(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) const {
    auto shape = token_shape();
    shape.insert(shape.end(), {heads, dim});
    return at::linear(x, weight, bias).view(shape);
  }
};

GlobalProblem random_global_problem(uint64_t seed, at::ScalarType type, int64_t most_globals) {
  Rng rng(seed);
  GlobalProblem p;
  p.packed = uniform(rng, 0, 1);
  const int64_t sequences = uniform(rng, 1, 4), length = uniform(rng, 1, 40);
  for (int64_t s = 0; s < sequences; ++s)
    p.lengths.push_back(!p.packed || uniform(rng, 0, 1) ? length : uniform(rng, 0, 40));
  p.offsets = {0};
  for (int64_t l : p.lengths) p.offsets.push_back(p.offsets.back() + l);
  p.heads = uniform(rng, 1, 3);
  p.dim = uniform(rng, 1, 12);
  p.channels = p.heads * p.dim + uniform(rng, 0, 5);
  p.globals = uniform(rng, 1, most_globals);
  p.index = at::full({sequences, p.globals}, -1, at::kLong);
  for (int64_t s = 0; s < sequences; ++s) {
    int64_t at = uniform(rng, 0, 2);
    for (int64_t g = 0; g < p.globals && at < p.lengths[s]; ++g, at += uniform(rng, 1, 3)) p.index[s][g] = at;
  }
  if (uniform(rng, 0, 2)) {
    p.mask = random_tensor(rng, p.token_shape(), at::kDouble).gt(-0.7);
    if (uniform(rng, 0, 3) == 0) p.mask.select(0, 0).fill_(false);  // a whole row, or the first token
  }
  if (uniform(rng, 0, 2) == 0) p.dropout = 0.3;
  auto hidden_shape = p.token_shape();
  hidden_shape.push_back(p.channels);
  const int64_t features = p.heads * p.dim;
  p.query = random_tensor(rng, {sequences, p.globals, p.heads, p.dim}, type);
  p.hidden = random_tensor(rng, hidden_shape, type);
  p.key_weight = random_tensor(rng, {features, p.channels}, type, 0.4);
  p.key_bias = random_tensor(rng, {features}, type);
  p.value_weight = random_tensor(rng, {features, p.channels}, type, 0.4);
  p.value_bias = random_tensor(rng, {features}, type);
  p.grad_out = random_tensor(rng, {sequences, p.globals, p.heads, p.dim}, type);
  return p;
}

// The definition, row by row in double: differentiable by ATen.
at::Tensor definition(const GlobalProblem& p, const at::Tensor& query, const at::Tensor& key,
                      const at::Tensor& value) {
  const at::Tensor k = key.reshape({p.offsets.back(), p.heads, p.dim}), v = value.reshape(k.sizes());
  const at::Tensor visible =
      p.mask.defined() ? p.mask.reshape({-1}) : at::full({p.offsets.back()}, true, at::kBool);
  std::vector<at::Tensor> rows;
  for (size_t s = 0; s < p.lengths.size(); ++s)
    for (int64_t g = 0; g < p.globals; ++g)
      for (int64_t h = 0; h < p.heads; ++h) {
        const int64_t begin = p.offsets[s], length = p.lengths[s];
        const int64_t i = p.index[static_cast<int64_t>(s)][g].item<int64_t>();
        if (i < 0 || !visible[begin + i].item<bool>()) {
          rows.push_back(at::zeros({p.dim}, at::kDouble));
          continue;
        }
        const at::Tensor q = query[static_cast<int64_t>(s)][g][h];
        const at::Tensor scores =
            at::matmul(k.narrow(0, begin, length).select(1, h), q) / std::sqrt(static_cast<double>(p.dim));
        at::Tensor probability =
            scores.masked_fill(visible.narrow(0, begin, length).logical_not(), -1e300).softmax(0);
        if (p.dropout > 0.0) {
          at::Tensor factor = at::zeros({length}, at::kDouble);
          for (int64_t j = 0; j < length; ++j)
            if (dropout_keeps(11, h, p.offsets.back() + static_cast<int64_t>(s) * p.globals + g, begin + j,
                              p.dropout))
              factor[j] = 1.0 / (1.0 - p.dropout);
          probability = probability * factor;
        }
        rows.push_back(at::matmul(probability, v.narrow(0, begin, length).select(1, h)));
      }
  return at::cat(rows).view(query.sizes());
}

TEST(GlobalAttention, equals_the_definition_forward_and_backward) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    const GlobalProblem p = random_global_problem(seed, at::kDouble, 5);
    const auto leaf = [](const at::Tensor& t) { return t.detach().clone().set_requires_grad(true); };
    const at::Tensor q = leaf(p.query), k = leaf(p.projected(p.hidden, p.key_weight, p.key_bias));
    const at::Tensor v = leaf(p.projected(p.hidden, p.value_weight, p.value_bias));
    const at::Tensor expected = definition(p, q, k, v), out = global_attention(q, k, v, p.index, p.options());
    ASSERT_LE(max_difference(out, expected), 1e-12);
    if (!expected.requires_grad()) continue;  // no row is a visible token
    const auto truth = torch::autograd::grad({expected}, {q, k, v}, {p.grad_out}, c10::nullopt, false,
                                             /*allow_unused=*/true);
    const auto grads = torch::autograd::grad({out}, {q, k, v}, {p.grad_out});
    for (size_t i = 0; i < 3; ++i)
      ASSERT_LE(max_difference(grads[i], truth[i].defined() ? truth[i] : at::zeros_like(grads[i])), 1e-11)
          << "input " << i;
  }
}

TEST(GlobalAttention, folded_equals_the_definition_forward_and_backward) {
  // Up to 30 globals with at most 12 dimensions of a head: both the folded and the projected way are taken.
  for (uint64_t seed = 100; seed < 180; ++seed) {
    SCOPED_TRACE(seed);
    const GlobalProblem p = random_global_problem(seed, at::kDouble, seed % 2 ? 3 : 30);
    std::vector<at::Tensor> inputs;
    for (const at::Tensor& t : {p.query, p.hidden, p.key_weight, p.key_bias, p.value_weight, p.value_bias})
      inputs.push_back(t.detach().clone().set_requires_grad(true));
    const auto& [q, hidden, wk, bk, wv, bv] =
        std::tie(inputs[0], inputs[1], inputs[2], inputs[3], inputs[4], inputs[5]);
    const at::Tensor expected = definition(p, q, p.projected(hidden, wk, bk), p.projected(hidden, wv, bv));
    const at::Tensor out = folded_global_attention(q, hidden, wk, bk, wv, bv, p.index, p.options());
    ASSERT_LE(max_difference(out, expected), 1e-12);
    if (!expected.requires_grad()) continue;
    const auto truth =
        torch::autograd::grad({expected}, inputs, {p.grad_out}, c10::nullopt, false, /*allow_unused=*/true);
    const auto grads = torch::autograd::grad({out}, inputs, {p.grad_out});
    for (size_t i = 0; i < inputs.size(); ++i)
      ASSERT_LE(max_difference(grads[i], truth[i].defined() ? truth[i] : at::zeros_like(grads[i])), 1e-10)
          << "input " << i;
    const at::Tensor no_bias =
        folded_global_attention(q, hidden, wk, c10::nullopt, wv, c10::nullopt, p.index, p.options());
    ASSERT_LE(max_difference(no_bias, definition(p, q, p.projected(hidden, wk, at::zeros_like(bk)),
                                                 p.projected(hidden, wv, at::zeros_like(bv)))),
              1e-12);
  }
}

TEST(GlobalAttention, gradients_equal_finite_differences) {
  for (uint64_t seed : {300, 301, 302}) {
    GlobalProblem p = random_global_problem(seed, at::kDouble, 3);
    std::vector<at::Tensor> inputs;
    for (const at::Tensor& t : {p.query, p.hidden, p.key_weight, p.key_bias, p.value_weight, p.value_bias})
      inputs.push_back(t.detach().clone().set_requires_grad(true));
    const auto loss = [&] {
      return (folded_global_attention(inputs[0], inputs[1], inputs[2], inputs[3], inputs[4], inputs[5],
                                      p.index, p.options()) *
              p.grad_out)
          .sum();
    };
    const auto grads = torch::autograd::grad({loss()}, inputs);
    at::NoGradGuard no_grad;
    Rng rng(seed);
    for (size_t n = 0; n < inputs.size(); ++n)
      for (int sample = 0; sample < 20; ++sample) {
        at::Tensor x = inputs[n].view({-1})[uniform(rng, 0, inputs[n].numel() - 1)];
        const int64_t at = x.storage_offset();
        x += 1e-5;
        const double up = loss().item<double>();
        x -= 2e-5;
        const double down = loss().item<double>();
        x += 1e-5;
        ASSERT_NEAR(grads[n].reshape({-1})[at].item<double>(), (up - down) / 2e-5, 1e-6)
            << "input " << n << " at " << at;
      }
  }
}

TEST(GlobalAttention, is_precise_in_16_bits) {
  for (at::ScalarType type : {at::kBFloat16, at::kHalf})
    for (uint64_t seed = 400; seed < 420; ++seed) {
      SCOPED_TRACE(seed);
      const GlobalProblem p = random_global_problem(seed, type, 4);
      const auto wide = [](const at::Tensor& t) { return t.to(at::kDouble); };
      const at::Tensor expected =
          definition(p, wide(p.query), p.projected(wide(p.hidden), wide(p.key_weight), wide(p.key_bias)),
                     p.projected(wide(p.hidden), wide(p.value_weight), wide(p.value_bias)));
      const at::Tensor out = folded_global_attention(p.query, p.hidden, p.key_weight, p.key_bias,
                                                     p.value_weight, p.value_bias, p.index, p.options());
      // Nothing but the result is rounded.
      ASSERT_TRUE(as_good_as(out, expected, expected, type));
    }
}

void set_autocast(bool enabled) {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
  at::autocast::set_autocast_enabled(at::kCPU, enabled);
#else
  at::autocast::set_cpu_enabled(enabled);
#endif
}

TEST(GlobalAttention, keeps_its_precision_inside_autocast) {
  for (at::ScalarType type : {at::kFloat, at::kBFloat16})
    for (uint64_t seed = 450; seed < 480; ++seed) {
      SCOPED_TRACE(seed);
      GlobalProblem p = random_global_problem(seed, type, 4);
      p.mask = at::full(p.token_shape(), true, at::kBool);
      p.mask.select(0, 0).fill_(false);
      const at::Tensor k = p.projected(p.hidden, p.key_weight, p.key_bias).to(type);
      const auto all = [&] {
        const at::Tensor query = p.query.detach().requires_grad_();
        const at::Tensor out = folded_global_attention(query, p.hidden, p.key_weight, p.key_bias, p.value_weight,
                                                       p.value_bias, p.index, p.options());
        return std::vector<at::Tensor>{out, global_attention(query, k, k, p.index, p.options()),
                                       global_probabilities(query, k, p.index, p.options()),
                                       torch::autograd::grad({out}, {query}, {p.grad_out})[0]};
      };
      const std::vector<at::Tensor> expected = all();
      set_autocast(true);
      const std::vector<at::Tensor> given = all();
      set_autocast(false);
      for (size_t i = 0; i < given.size(); ++i) {
        ASSERT_EQ(given[i].scalar_type(), expected[i].scalar_type()) << i;
        // The backward of the products runs where autocast is on, and rounds.
        ASSERT_LE(max_difference(given[i], expected[i]), i == 3 ? 0.1 : 0.0) << i;
      }
    }
}

TEST(GlobalAttention, probabilities_are_those_that_weigh_the_values) {
  for (uint64_t seed = 500; seed < 530; ++seed) {
    SCOPED_TRACE(seed);
    GlobalProblem p = random_global_problem(seed, at::kDouble, 4);
    p.dropout = 0.0;
    const at::Tensor k = p.projected(p.hidden, p.key_weight, p.key_bias),
                     v = p.projected(p.hidden, p.value_weight, p.value_bias);
    const at::Tensor out = global_attention(p.query, k, v, p.index, p.options());
    const at::Tensor probability = global_probabilities(p.query, k, p.index, p.options());  // [S, G, H, L]
    const at::Tensor values = v.reshape({p.offsets.back(), p.heads, p.dim});
    for (size_t s = 0; s < p.lengths.size(); ++s) {
      const int64_t row = static_cast<int64_t>(s), length = p.lengths[s];
      const at::Tensor weights = probability[row].transpose(0, 1);  // [H, G, L]
      ASSERT_EQ(weights.narrow(2, length, weights.size(2) - length).ne(0).sum().item<int64_t>(), 0);
      const at::Tensor pooled =
          at::matmul(weights.narrow(2, 0, length), values.narrow(0, p.offsets[s], length).transpose(0, 1));
      ASSERT_LE(max_difference(pooled.transpose(0, 1), out[row]), 1e-12);
    }
  }
}

TEST(GlobalAttention, hides_masked_tokens_even_when_they_are_not_numbers) {
  GlobalProblem p = random_global_problem(600, at::kDouble, 3);
  p.mask = at::full(p.token_shape(), true, at::kBool);
  p.mask.narrow(p.packed ? 0 : 1, 1, 1).fill_(false);
  const auto out = [&] {
    return folded_global_attention(p.query, p.hidden, p.key_weight, p.key_bias, p.value_weight, p.value_bias,
                                   p.index, p.options());
  };
  const at::Tensor expected = out();
  p.hidden.narrow(p.packed ? 0 : 1, 1, 1).fill_(std::nan(""));
  EXPECT_EQ(max_difference(out(), expected), 0.0);
}

TEST(GlobalAttention, takes_no_global_tokens_and_no_sequences) {
  const at::Tensor hidden = at::zeros({2, 5, 2, 4}, at::kFloat);
  EXPECT_EQ(
      global_attention(at::zeros({2, 0, 2, 4}, at::kFloat), hidden, hidden, at::zeros({2, 0}, at::kLong))
          .sizes(),
      at::IntArrayRef({2, 0, 2, 4}));
  const at::Tensor none = at::zeros({0, 5, 2, 4}, at::kFloat);
  EXPECT_EQ(
      global_attention(at::zeros({0, 3, 2, 4}, at::kFloat), none, none, at::zeros({0, 3}, at::kLong)).sizes(),
      at::IntArrayRef({0, 3, 2, 4}));
}

}  // namespace
}  // namespace longformer::test
