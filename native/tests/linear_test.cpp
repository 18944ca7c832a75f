// linear and add_layer_norm where they come from ATen: with gradients and without data. Their CPU kernels
// have tests of their own.
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <torch/csrc/autograd/autograd.h>

#include "support.h"

namespace longformer::test {
namespace {

using OptionalTensor = c10::optional<at::Tensor>;

at::Tensor linear(const at::Tensor& input, const at::Tensor& weight, const OptionalTensor& bias,
                  const std::string& activation, const OptionalTensor& residual) {
  using Signature = at::Tensor(const at::Tensor&, const at::Tensor&, const OptionalTensor&,
                               const OptionalTensor&, c10::string_view, const OptionalTensor&);
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("longformer::linear", "").typed<Signature>();
  return op.call(input, weight, bias, c10::nullopt, activation, residual);
}

at::Tensor add_layer_norm(const at::Tensor& input, const OptionalTensor& residual, const at::Tensor& weight,
                          const at::Tensor& bias, double eps) {
  using Signature =
      at::Tensor(const at::Tensor&, const OptionalTensor&, const at::Tensor&, const at::Tensor&, double);
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("longformer::add_layer_norm", "").typed<Signature>();
  return op.call(input, residual, weight, bias, eps);
}

std::vector<at::Tensor> leaves(Rng& rng, std::initializer_list<at::IntArrayRef> shapes) {
  std::vector<at::Tensor> result;
  for (const at::IntArrayRef shape : shapes)
    result.push_back(random_tensor(rng, shape, at::kDouble).set_requires_grad(true));
  return result;
}

void expect_same(const at::Tensor& actual, const at::Tensor& expected,
                 const std::vector<at::Tensor>& inputs) {
  EXPECT_LE(max_difference(actual, expected), 1e-12);
  const auto a = torch::autograd::grad({(actual * actual).sum()}, inputs);
  const auto e = torch::autograd::grad({(expected * expected).sum()}, inputs);
  for (size_t i = 0; i < inputs.size(); ++i) EXPECT_LE(max_difference(a[i], e[i]), 1e-11) << "input " << i;
}

TEST(Linear, records_the_gradient_of_every_activation) {
  Rng rng(1);
  const auto x = leaves(rng, {{2, 5, 7}, {4, 7}, {4}, {2, 5, 4}});
  using Activation = std::function<at::Tensor(const at::Tensor&)>;
  const std::pair<const char*, Activation> activations[] = {
      {"none", [](const at::Tensor& t) { return t; }},
      {"gelu", [](const at::Tensor& t) { return at::gelu(t); }},
      {"gelu_tanh", [](const at::Tensor& t) { return at::gelu(t, "tanh"); }},
      {"relu", [](const at::Tensor& t) { return t.relu(); }},
      {"tanh", [](const at::Tensor& t) { return t.tanh(); }}};
  for (const auto& [name, activate] : activations) {
    SCOPED_TRACE(name);
    expect_same(linear(x[0], x[1], x[2], name, x[3]), activate(at::linear(x[0], x[1], x[2])) + x[3], x);
  }
}

TEST(Linear, refuses_an_unknown_activation) {
  Rng rng(1);
  const auto x = leaves(rng, {{2, 3}, {4, 3}});
  const std::string message = value_error([&] { linear(x[0], x[1], c10::nullopt, "swish", c10::nullopt); });
  EXPECT_NE(message.find("longformer::linear: activation must be"), std::string::npos) << message;
  EXPECT_NE(message.find("\"swish\""), std::string::npos) << message;
}

TEST(AddLayerNorm, records_the_gradient) {
  Rng rng(2);
  const auto x = leaves(rng, {{3, 6}, {3, 6}, {6}, {6}});
  expect_same(add_layer_norm(x[0], x[1], x[2], x[3], 1e-5),
              at::layer_norm(x[0] + x[1], {6}, x[2], x[3], 1e-5), x);
}

TEST(Linear, gives_shapes_without_data) {
  const auto meta = at::TensorOptions(at::kFloat).device(at::kMeta);
  const at::Tensor x = at::empty({2, 5, 7}, meta), w = at::empty({4, 7}, meta);
  EXPECT_EQ(linear(x, w, c10::nullopt, "gelu", c10::nullopt).sizes(), at::IntArrayRef({2, 5, 4}));
  const at::Tensor n = at::empty({7}, meta);
  EXPECT_EQ(add_layer_norm(x, x, n, n, 1e-5).sizes(), x.sizes());
}

}  // namespace
}  // namespace longformer::test
