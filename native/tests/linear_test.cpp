// linear and add_layer_norm against their definitions on the host, with every option; refusals;
// shapes without data. Their CPU kernels have tests of their own (kernels_linear.cpp), and so have their
// gradients (backward_linear_test.cpp).
#include <cmath>

#include "support.h"

namespace longformer::test {
namespace {

Tensor linear(const Tensor& input, const Tensor& weight, const OptionalTensor& bias,
              const std::string& activation, const OptionalTensor& residual, Way way = Way::direct) {
  return call<Tensor>(way, "linear", input, weight, bias, OptionalTensor(), activation, residual);
}

Tensor add_layer_norm(const Tensor& input, const OptionalTensor& residual, const Tensor& weight,
                      const Tensor& bias, double eps, Way way = Way::direct) {
  return call<Tensor>(way, "add_layer_norm", input, residual, weight, bias, eps);
}

double activated(const std::string& activation, double x) {
  if (activation == "gelu") return 0.5 * x * (1.0 + std::erf(x / std::sqrt(2.0)));
  if (activation == "gelu_tanh")
    return 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
  if (activation == "relu") return std::max(x, 0.0);
  if (activation == "tanh") return std::tanh(x);
  return x;
}

// activation(input . weight^T + bias) + residual, in double.
Tensor definition(const Tensor& input, const Tensor& weight, const OptionalTensor& bias,
                  const std::string& activation, const OptionalTensor& residual) {
  Matrix y = product(matrix_of(input), transposed(matrix_of(weight)));
  const Doubles b = given(bias) ? values(*bias) : Doubles(static_cast<size_t>(y.columns));
  const Doubles r = given(residual) ? values(*residual) : Doubles(y.data.size());
  for (size_t e = 0; e < y.data.size(); ++e)
    y.data[e] = activated(activation, y.data[e] + b[e % static_cast<size_t>(y.columns)]) + r[e];
  std::vector<int64_t> shape = input.sizes().vec();
  shape.back() = weight.size(0);
  return tensor_of(y, shape);
}

TEST(Linear, equals_the_definition_with_every_option) {
  Rng rng(1);
  const Tensor x = random_tensor(rng, {2, 5, 7}, kDouble), w = random_tensor(rng, {4, 7}, kDouble);
  const OptionalTensor b = random_tensor(rng, {4}, kDouble), r = random_tensor(rng, {2, 5, 4}, kDouble);
  for (const ScalarType type : {kDouble, kFloat, kBFloat16, kHalf})
    for (const char* activation : {"none", "gelu", "gelu_tanh", "relu", "tanh"})
      for (const OptionalTensor& bias : {b, OptionalTensor()})
        for (const OptionalTensor& residual : {r, OptionalTensor()}) {
          SCOPED_TRACE(text(type, " ", activation, " bias ", given(bias), " residual ", given(residual)));
          const auto typed = [&](const OptionalTensor& t) {
            return given(t) ? OptionalTensor(t->to(type)) : OptionalTensor();
          };
          const Tensor expected =
              definition(x.to(type), w.to(type), typed(bias), activation, typed(residual));
          const Tensor given_y = linear(x.to(type), w.to(type), typed(bias), activation, typed(residual));
          EXPECT_EQ(given_y.scalar_type(), type);
          // 16 bits: two roundings at most, of a product and of what is done to it.
          const double allowed = type == kDouble  ? 1e-12
                                 : type == kFloat ? 2e-5
                                 : type == kHalf  ? 0.02
                                                  : 0.15;
          EXPECT_LE(max_difference(given_y, expected), allowed);
        }
}

TEST(Linear, refuses_what_does_not_fit) {
  Rng rng(1);
  const Tensor x = random_tensor(rng, {2, 3}, kFloat), w = random_tensor(rng, {4, 3}, kFloat);
  const auto refusal = [&](const Tensor& input, const Tensor& weight, const OptionalTensor& bias,
                           const char* activation, const OptionalTensor& residual) {
    return any_error([&] { linear(input, weight, bias, activation, residual); });
  };
  EXPECT_EQ(refusal(x, w, std::nullopt, "none", std::nullopt), "");
  expect_words(refusal(x, w, std::nullopt, "swish", std::nullopt),
               {"longformer::linear: activation must be", "\"swish\""});
  EXPECT_NE(refusal(x, random_tensor(rng, {4, 5}, kFloat), std::nullopt, "none", std::nullopt), "");
  EXPECT_NE(refusal(x, w, OptionalTensor(zeros({5}, kFloat)), "none", std::nullopt), "");
  EXPECT_NE(refusal(x, w, std::nullopt, "none", OptionalTensor(zeros({3, 4}, kFloat))), "");
  EXPECT_NE(refusal(Tensor(), w, std::nullopt, "none", std::nullopt), "");
}

TEST(Linear, gives_shapes_without_data) {
  const TensorOptions meta(kFloat, Device{DeviceType::meta, -1});
  const Tensor x = empty({2, 5, 7}, meta), w = empty({4, 7}, meta);
  EXPECT_EQ(linear(x, w, std::nullopt, "gelu", std::nullopt).sizes(), IntList({2, 5, 4}));
  const Tensor n = empty({7}, meta);
  EXPECT_EQ(add_layer_norm(x, x, n, n, 1e-5).sizes(), x.sizes());
}

TEST(AddLayerNorm, equals_the_definition) {
  Rng rng(2);
  const Tensor x = random_tensor(rng, {3, 6}, kDouble), w = random_tensor(rng, {6}, kDouble),
               b = random_tensor(rng, {6}, kDouble);
  for (const OptionalTensor& residual :
       {OptionalTensor(random_tensor(rng, {3, 6}, kDouble)), OptionalTensor()}) {
    Matrix sum = matrix_of(x);
    if (given(residual)) {
      const Doubles r = values(*residual);
      for (size_t e = 0; e < r.size(); ++e) sum.data[e] += r[e];
    }
    const Doubles weight = values(w), bias = values(b);
    for (int64_t row = 0; row < 3; ++row) {
      double mean = 0.0, variance = 0.0;
      for (int64_t i = 0; i < 6; ++i) mean += sum.at(row, i) / 6.0;
      for (int64_t i = 0; i < 6; ++i) variance += std::pow(sum.at(row, i) - mean, 2) / 6.0;
      for (int64_t i = 0; i < 6; ++i)
        sum.at(row, i) = (sum.at(row, i) - mean) / std::sqrt(variance + 1e-5) * weight[i] + bias[i];
    }
    EXPECT_LE(max_difference(add_layer_norm(x, residual, w, b, 1e-5), tensor_of(sum, {3, 6})), 1e-12);
  }
}

}  // namespace
}  // namespace longformer::test
