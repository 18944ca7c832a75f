// The gradients of linear layers, activations, LayerNorm and dropout, against central differences of the
// forward operators in float64 and against their definitions on the host; all options, all dtypes, sizes
// around those of the kernels' tiles.
#include <cmath>
#if defined(__GLIBC__)
#include <malloc.h>
#endif
#include <numeric>

#include "support.h"

namespace longformer::test {
namespace {

using Three = std::tuple<Tensor, Tensor, Tensor>;
constexpr const char* kActivations[] = {"none", "gelu", "gelu_tanh", "relu", "tanh", "silu"};

OptionalTensor optional(const Tensor& t) {
  return t.defined() ? OptionalTensor(t) : OptionalTensor();
}
double dot(const Tensor& x, const Tensor& y) {
  const Doubles a = values(x), b = values(y);
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}
// How far a type's results may be from the truth, for numbers of about 1.
double allowed(ScalarType type) {
  return type == kDouble ? 1e-12 : type == kFloat ? 2e-5 : type == kHalf ? 4e-3 : 3e-2;
}

Three linear_backward(const Tensor& grad, const Tensor& x, const Tensor& w, bool input = true,
                      bool weight = true, bool bias = true, Way way = Way::direct) {
  return call<Three>(way, "_linear_backward", grad, x, w, input, weight, bias);
}

// grad . weight, grad^T . input, column sums of grad, in double.
void expect_linear_gradients(const Three& given, const Tensor& grad, const Tensor& x, const Tensor& w) {
  const Matrix g = matrix_of(grad), input = matrix_of(x), weight = matrix_of(w);
  const ScalarType type = x.scalar_type();
  const auto& [of_x, of_w, of_b] = given;
  for (const Tensor* t : {&of_x, &of_w, &of_b}) EXPECT_EQ(t->scalar_type(), type);
  // Sums of that many products of numbers of about 1.
  const double by_rows = allowed(type) * std::sqrt(1.0 + static_cast<double>(g.rows)) * 4,
               by_outputs = allowed(type) * std::sqrt(1.0 + static_cast<double>(g.columns)) * 4;
  EXPECT_LE(max_difference(of_x, tensor_of(product(g, weight), x.sizes())), by_outputs);
  EXPECT_LE(max_difference(of_w, tensor_of(product(transposed(g), input), w.sizes())), by_rows);
  Matrix sums = matrix(1, g.columns);
  for (int64_t r = 0; r < g.rows; ++r)
    for (int64_t c = 0; c < g.columns; ++c) sums.at(0, c) += g.at(r, c);
  EXPECT_LE(max_difference(of_b, tensor_of(sums, {g.columns})), by_rows);
}

TEST(BackwardLinear, equals_the_definition_at_all_sizes) {
  Rng rng(1);
  for (const ScalarType type : {kDouble, kFloat, kBFloat16, kHalf})
    for (int64_t round = 0; round < 12; ++round) {
      const int64_t rows = uniform(rng, 1, round % 2 ? 40 : 300), outputs = uniform(rng, 1, 70),
                    inputs = uniform(rng, 1, 230);
      SCOPED_TRACE(text(type, " ", rows, " x ", inputs, " -> ", outputs));
      const Tensor grad = random_tensor(rng, {rows, outputs}, type),
                   x = random_tensor(rng, {rows, inputs}, type),
                   w = random_tensor(rng, {outputs, inputs}, type);
      expect_linear_gradients(linear_backward(grad, x, w), grad, x, w);
    }
}

TEST(BackwardLinear, takes_any_dimensions_and_strides) {
  Rng rng(2);
  for (const ScalarType type : {kDouble, kFloat, kBFloat16}) {
    SCOPED_TRACE(text(type));
    const Tensor grad = random_tensor(rng, {2, 3, 24, 5}, type),
                 x = random_tensor(rng, {24, 3, 2, 7}, type).transpose(0, 2),
                 w = random_tensor(rng, {7, 5}, type).t();
    const Three given = linear_backward(grad, x, w);
    EXPECT_EQ(std::get<0>(given).sizes(), x.sizes());
    expect_linear_gradients(given, grad, x, w);
    expect_linear_gradients(linear_backward(grad, x, w, true, true, true, Way::dispatcher), grad, x, w);
  }
}

TEST(BackwardLinear, gives_what_is_needed_and_no_more) {
  Rng rng(3);
  const Tensor grad = random_tensor(rng, {20, 4}, kFloat), x = random_tensor(rng, {20, 3}, kFloat),
               w = random_tensor(rng, {4, 3}, kFloat);
  for (int needs = 0; needs < 8; ++needs) {
    const bool input = needs & 1, weight = needs & 2, bias = needs & 4;
    const auto [of_x, of_w, of_b] = linear_backward(grad, x, w, input, weight, bias);
    EXPECT_EQ(of_x.defined(), input);
    EXPECT_EQ(of_w.defined(), weight);
    EXPECT_EQ(of_b.defined(), bias);
  }
  const auto [of_x, of_w, of_b] = linear_backward(zeros({0, 4}, kFloat), zeros({0, 3}, kFloat), w);
  EXPECT_EQ(of_x.numel(), 0);
  EXPECT_EQ(max_magnitude(of_w), 0.0);
  EXPECT_EQ(max_magnitude(of_b), 0.0);
}

TEST(BackwardLinear, refuses_what_does_not_fit) {
  const Tensor w = zeros({4, 3}, kFloat), x = zeros({2, 3}, kFloat);
  const auto refusal = [&](const Tensor& grad, const Tensor& input, const Tensor& weight) {
    return value_error([&] { linear_backward(grad, input, weight); });
  };
  EXPECT_EQ(refusal(zeros({2, 4}, kFloat), x, w), "");
  expect_words(refusal(zeros({2, 5}, kFloat), x, w),
               {"_linear_backward: grad_output must be [2, 4]", "[2, 5]"});
  expect_words(refusal(zeros({2, 4}, kDouble), x, w), {"dtype of input, Float", "given Double"});
  expect_words(refusal(zeros({2, 4}, kFloat), zeros({2, 5}, kFloat), w),
               {"input must be [..., 3]", "[2, 5]"});
  expect_words(refusal(zeros({2, 4}, kFloat), x, zeros({4}, kFloat)), {"weight must be [outputs, inputs]"});
}

double activated(const std::string& activation, double x) {
  if (activation == "gelu") return 0.5 * x * (1.0 + std::erf(x / std::sqrt(2.0)));
  if (activation == "gelu_tanh")
    return 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
  if (activation == "relu") return std::max(x, 0.0);
  if (activation == "tanh") return std::tanh(x);
  if (activation == "silu") return x / (1.0 + std::exp(-x));
  return x;
}

// Of every size around 0, and far out.
Tensor arguments(Rng& rng, int64_t count, ScalarType type) {
  Doubles x = values(random_tensor(rng, {count}, kDouble, 2.0));
  for (size_t i = 0; i < x.size(); i += 7) x[i] *= 1e-3;
  for (size_t i = 3; i < x.size(); i += 11) x[i] *= 10.0;
  return tensor_of(x, {count}, type);
}

TEST(Activation, equals_the_definition) {
  Rng rng(4);
  for (const ScalarType type : {kDouble, kFloat, kBFloat16, kHalf})
    for (const char* activation : kActivations)
      for (const int64_t count : {1, 7, 16, 100, 40000}) {
        SCOPED_TRACE(text(type, " ", activation, " ", count));
        const Tensor x = arguments(rng, count, type), y = call<Tensor>("activation", x, activation);
        Doubles expected = values(x);
        for (double& e : expected) e = activated(activation, e);
        const Doubles found = values(y);
        ASSERT_EQ(y.scalar_type(), type);
        for (size_t i = 0; i < expected.size(); ++i)
          ASSERT_NEAR(found[i], expected[i],
                      (type == kFloat ? 1e-6 : allowed(type) / 4) * (1.0 + std::abs(expected[i])));
      }
}

TEST(BackwardActivation, equals_central_differences_of_the_definition) {
  Rng rng(5);
  for (const ScalarType type : {kDouble, kFloat, kBFloat16, kHalf})
    for (const char* activation : kActivations)
      for (const int64_t count : {1, 7, 16, 100, 40000}) {
        SCOPED_TRACE(text(type, " ", activation, " ", count));
        const Tensor x = arguments(rng, count, type), g = random_tensor(rng, {count}, type);
        const Tensor y = call<Tensor>("_activation_backward", g, x, activation);
        ASSERT_EQ(y.scalar_type(), type);
        const Doubles at = values(x), gradient = values(g), found = values(y);
        for (size_t i = 0; i < at.size(); ++i) {
          const double step = 1e-6;
          if (std::string(activation) == "relu" && std::abs(at[i]) < step) continue;
          const double slope =
              (activated(activation, at[i] + step) - activated(activation, at[i] - step)) / (2 * step);
          ASSERT_NEAR(found[i], gradient[i] * slope,
                      (type == kDouble  ? 1e-8
                       : type == kFloat ? 2e-6
                                        : allowed(type) / 2) *
                          (1 + std::abs(gradient[i])))
              << "at " << at[i];
        }
      }
}

TEST(BackwardActivation, keeps_nan_and_stays_finite_far_out) {
  for (const ScalarType type : {kDouble, kFloat}) {
    const double nan = std::nan("");
    const Doubles far = {nan, 1e4, -1e4, 1e30, -1e30, 0.0};
    for (const char* activation : kActivations) {
      SCOPED_TRACE(text(type, " ", activation));
      const Tensor x = tensor_of(far, {6}, type), ones_like_x = ones({6}, type);
      const Doubles y = values(call<Tensor>("activation", x, activation));
      EXPECT_TRUE(std::isnan(y[0]));
      for (size_t i = 1; i < far.size(); ++i)
        EXPECT_NEAR(y[i], activated(activation, far[i]), 1e-6 * std::abs(far[i])) << far[i];
      const Doubles slope = values(call<Tensor>("_activation_backward", ones_like_x, x, activation));
      for (const size_t i : {1u, 2u}) {
        const double there = activation == std::string("none")   ? 1.0
                             : activation == std::string("tanh") ? 0.0
                             : i == 1                            ? 1.0
                                                                 : 0.0;
        EXPECT_NEAR(slope[i], there, 1e-6) << far[i];
      }
    }
  }
}

TEST(Activation, refuses_what_it_does_not_know) {
  const Tensor x = zeros({3}, kFloat);
  expect_words(value_error([&] { call<Tensor>("activation", x, "swish"); }),
               {"longformer::activation: activation must be", "\"swish\""});
  expect_words(value_error([&] { call<Tensor>("_activation_backward", x, x, "swish"); }),
               {"_activation_backward", "\"swish\""});
  expect_words(value_error([&] { call<Tensor>("activation", zeros({3}, kLong), "gelu"); }),
               {"must be float32", "given Long"});
  expect_words(value_error([&] { call<Tensor>("_activation_backward", zeros({4}, kFloat), x, "gelu"); }),
               {"grad_output must have the shape of input", "[4]"});
}

Tensor add_layer_norm(const Tensor& x, const OptionalTensor& r, const Tensor& w, const Tensor& b,
                      double eps) {
  return call<Tensor>("add_layer_norm", x, r, w, b, eps);
}
Three norm_backward(const Tensor& grad, const Tensor& x, const OptionalTensor& r, const Tensor& w, double eps,
                    Way way = Way::direct) {
  return call<Three>(way, "_add_layer_norm_backward", grad, x, r, w, eps);
}

TEST(BackwardAddLayerNorm, equals_finite_differences) {
  Rng rng(6);
  for (const bool two : {true, false})
    for (const int64_t columns : {1, 5, 16, 33}) {
      SCOPED_TRACE(text(columns, two ? " with" : " without", " residual"));
      const Tensor x = random_tensor(rng, {2, 3, columns}, kDouble),
                   r = two ? random_tensor(rng, x.sizes(), kDouble) : Tensor(),
                   w = random_tensor(rng, {columns}, kDouble), b = random_tensor(rng, {columns}, kDouble),
                   grad = random_tensor(rng, x.sizes(), kDouble);
      const auto [of_sum, of_w, of_b] = norm_backward(grad, x, optional(r), w, 1e-3);
      TensorList inputs = {x, w, b}, gradients = {of_sum, of_w, of_b};
      if (two) inputs.push_back(r), gradients.push_back(of_sum);
      expect_finite_differences(
          inputs, gradients, [&] { return dot(add_layer_norm(x, optional(r), w, b, 1e-3), grad); }, 1e-6);
    }
}

TEST(BackwardAddLayerNorm, is_as_precise_as_its_type) {
  Rng rng(7);
  for (const ScalarType type : {kFloat, kBFloat16, kHalf})
    for (const int64_t rows : {1, 31, 33, 500})
      for (const int64_t columns : {8, 100, 768}) {
        SCOPED_TRACE(text(type, " ", rows, " x ", columns));
        const Tensor x = random_tensor(rng, {rows, columns}, type),
                     r = random_tensor(rng, {rows, columns}, type), w = random_tensor(rng, {columns}, type),
                     grad = random_tensor(rng, {rows, columns}, type);
        const auto given = norm_backward(grad, x, r, w, 1e-5);
        const auto truth = norm_backward(grad.to(kDouble), x.to(kDouble), r.to(kDouble), w.to(kDouble), 1e-5);
        EXPECT_LE(max_difference(std::get<0>(given), std::get<0>(truth)), allowed(type) * 2);
        const double sums = allowed(type) * std::sqrt(static_cast<double>(rows)) * 4;
        EXPECT_LE(max_difference(std::get<1>(given), std::get<1>(truth)), sums);
        EXPECT_LE(max_difference(std::get<2>(given), std::get<2>(truth)), sums);
        for (const Tensor* t : {&std::get<0>(given), &std::get<1>(given), &std::get<2>(given)})
          EXPECT_EQ(t->scalar_type(), type);
      }
}

TEST(BackwardAddLayerNorm, takes_other_types_of_weights_strides_and_nothing) {
  Rng rng(8);
  const Tensor x = random_tensor(rng, {6, 4}, kFloat).t(), w = random_tensor(rng, {6}, kDouble),
               grad = random_tensor(rng, {4, 6}, kFloat);
  const auto mixed = norm_backward(grad, x, std::nullopt, w, 1e-5, Way::dispatcher);
  const auto truth = norm_backward(grad.to(kDouble), x.to(kDouble), std::nullopt, w, 1e-5);
  EXPECT_EQ(std::get<1>(mixed).scalar_type(), kDouble);
  EXPECT_LE(max_difference(std::get<0>(mixed), std::get<0>(truth)), 1e-5);
  EXPECT_LE(max_difference(std::get<1>(mixed), std::get<1>(truth)), 1e-5);
  const auto none =
      norm_backward(zeros({0, 6}, kFloat), zeros({0, 6}, kFloat), std::nullopt, w.to(kFloat), 1e-5);
  EXPECT_EQ(std::get<0>(none).numel(), 0);
  EXPECT_EQ(max_magnitude(std::get<1>(none)), 0.0);
  expect_words(value_error([&] { norm_backward(grad, x, std::nullopt, zeros({5}, kFloat), 1e-5); }),
               {"weight must be [6]", "[5]"});
  expect_words(value_error([&] {
                 norm_backward(zeros({4, 5}, kFloat), x, std::nullopt, w, 1e-5);
               }),
               {"grad_output must be [4, 6]", "[4, 5]"});
}

// The definition: a mixer of seed + index.
bool kept(uint64_t seed, uint64_t index, double probability) {
  uint64_t x = seed + index;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return (x >> 40) >= static_cast<uint64_t>(std::llround(probability * 16777216.0));
}

#if defined(__GLIBC__)
// libtorch 2.10 does not free the text that its dispatcher is given, 48 bytes at each call.
TEST(Activation, leaves_no_memory_behind) {
  const Tensor x = ones({3}, kDouble), weight = ones({3, 3}, kDouble);
  const auto call_all = [&] {
    for (const char* activation : {"gelu", "gelu_tanh"}) {
      call<Tensor>("activation", x, activation);
      call<Tensor>("_activation_backward", x, x, activation);
      call<Tensor>("linear", x, weight, OptionalTensor(), OptionalTensor(), activation, OptionalTensor());
    }
  };
  for (int i = 0; i < 100; ++i) call_all();
  const size_t before = mallinfo2().uordblks;
  for (int i = 0; i < 1000; ++i) call_all();
  EXPECT_LT(mallinfo2().uordblks, before + 48 * 1000);
}
#endif

TEST(HiddenDropout, keeps_the_elements_of_its_definition) {
  Rng rng(9);
  for (const ScalarType type : {kDouble, kFloat, kBFloat16, kHalf})
    for (const int64_t seed : {int64_t(0), int64_t(123456789), INT64_MAX, INT64_MIN, int64_t(-5)})
      for (const double probability : {0.0, 0.1, 0.5, 1.0}) {
        SCOPED_TRACE(text(type, " ", seed, " ", probability));
        const Tensor x = random_tensor(rng, {3, 20000 / 3}, type);
        const Doubles from = values(x), to = values(call<Tensor>("hidden_dropout", x, probability, seed));
        const double factor = probability < 1 ? rounded({1 / (1 - probability)}, type)[0] : 0.0;
        for (size_t i = 0; i < from.size(); ++i)
          ASSERT_EQ(to[i], kept(static_cast<uint64_t>(seed), i, probability)
                               ? rounded({from[i] * factor}, type)[0]
                               : 0.0)
              << i;
      }
  const Tensor x = random_tensor(rng, {5, 4}, kFloat);
  EXPECT_EQ(max_difference(call<Tensor>("hidden_dropout", x.t(), 0.3, int64_t(1)),
                           call<Tensor>("hidden_dropout", x.t().contiguous(), 0.3, int64_t(1))),
            0.0);
  expect_words(value_error([&] { call<Tensor>("hidden_dropout", x, 1.5, int64_t(1)); }),
               {"probability must be in [0, 1]", "1.5"});
}

}  // namespace
}  // namespace longformer::test
