// linear on the CPU against float64, and the products and activations behind it, for every instruction set.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "../ops/cpu/multiply.h"
#include "kernels_isa.h"

using namespace longformer;
using namespace longformer::test;

namespace {

Tensor linear_pack(const Tensor& weight) {
  return call<Tensor>("linear_pack", weight);
}

Tensor linear(const Tensor& x, const Tensor& w, const OptionalTensor& b, const OptionalTensor& packed,
              const std::string& activation, const OptionalTensor& residual) {
  return call<Tensor>("linear", x, w, b, packed, activation, residual);
}

void linear_into(const Tensor& x, const Tensor& w, const OptionalTensor& b, const OptionalTensor& packed,
                 const std::string& activation, const OptionalTensor& residual, const Tensor& out) {
  call<void>("_linear_into", x, w, b, packed, activation, residual, out);
}

Tensor exact(const Tensor& x, const Tensor& w, const OptionalTensor& b, const std::string& activation,
             const OptionalTensor& residual) {
  Tensor y = matmul(x.to(kDouble), w.to(kDouble).t());
  if (b) y = y + b->to(kDouble);
  y = activated(y, activation);
  return residual ? y + residual->to(kDouble) : y;
}

using Linear = OfInstructionSet;

double tolerance(ScalarType type) {
  return type == kDouble ? 1e-12 : type == kFloat ? 2e-5 : type == kHalf ? 1e-2 : 6e-2;
}

TEST_P(Linear, equals_float64_for_every_option) {
  for (ScalarType type : {kFloat, kBFloat16, kHalf, kDouble}) {
    for (const std::vector<int64_t>& shape :
         {std::vector<int64_t>{300, 96, 160}, {1, 64, 2}, {7, 33, 5}, {64, 768, 768}}) {
      const Tensor x = randn({shape[0], shape[1]}, type),
                   w = (randn({shape[2], shape[1]}, kDouble) * (1 / std::sqrt(double(shape[1])))).to(type),
                   b = randn({shape[2]}, type), r = randn({shape[0], shape[2]}, type);
      const Tensor packed = linear_pack(w);
      for (const std::string activation : {"none", "gelu", "gelu_tanh", "relu", "tanh", "silu"}) {
        for (const OptionalTensor& bias : {OptionalTensor(), OptionalTensor(b)}) {
          for (const OptionalTensor& residual : {OptionalTensor(), OptionalTensor(r)}) {
            const Tensor expected = exact(x, w, bias, activation, residual);
            SCOPED_TRACE(activation + " " + name_of(type));
            EXPECT_LT(largest_difference(linear(x, w, bias, packed, activation, residual), expected),
                      tolerance(type));
            EXPECT_LT(largest_difference(linear(x, w, bias, {}, activation, residual), expected),
                      tolerance(type));
          }
        }
      }
    }
  }
}

TEST_P(Linear, leading_dimensions_and_strides_of_the_input_do_not_matter) {
  const Tensor x = randn({3, 40, 5}).transpose(1, 2), w = randn({24, 40});
  const Tensor y = linear(x, w, {}, linear_pack(w), "none", {});
  EXPECT_EQ(y.sizes(), IntList({3, 5, 24}));
  EXPECT_LT(largest_difference(y, exact(x, w, {}, "none", {})), 1e-4);
}

TEST_P(Linear, out_may_be_the_residual_or_strided) {
  const Tensor x = randn({50, 64}), w = randn({48, 64}) * (1.0 / 8), r = randn({50, 48});
  const Tensor expected = exact(x, w, {}, "gelu", r);
  Tensor out = r.clone();
  linear_into(x, w, {}, linear_pack(w), "gelu", out, out);
  EXPECT_LT(largest_difference(out, expected), 1e-5);
  Tensor strided = empty({48, 50}, kFloat).t();
  linear_into(x, w, {}, {}, "gelu", r, strided);
  EXPECT_LT(largest_difference(strided, expected), 1e-5);
}

TEST_P(Linear, no_rows_give_no_rows) {
  const Tensor w = randn({8, 16});
  EXPECT_EQ(linear(empty({0, 16}, kFloat), w, {}, linear_pack(w), "none", {}).sizes(), IntList({0, 8}));
}

TEST_P(Linear, errors_name_the_argument_and_both_shapes) {
  const Tensor x = randn({4, 16}), w = randn({8, 16});
  const auto has = [](const std::string& message, const std::string& part) {
    return message.find(part) != std::string::npos ? std::string() : part + " is not in: " + message;
  };
  EXPECT_EQ(has(any_error([&] {
                  linear(randn({4, 15}), w, {}, {}, "none", {});
                }),
                "input must be [..., 16]"),
            "");
  EXPECT_EQ(has(any_error([&] { linear(x, w, randn({9}), {}, "none", {}); }), "bias must be [8], given [9]"),
            "");
  EXPECT_EQ(has(any_error([&] { linear(x, w, {}, {}, "swish", {}); }), "given \"swish\""), "");
  EXPECT_EQ(has(any_error([&] {
                  linear(x, w, {}, {}, "none", randn({4, 9}));
                }),
                "residual must be [4, 8], given [4, 9]"),
            "");
  EXPECT_EQ(has(any_error([&] { linear(x, w, {}, zeros({3}, kByte), "none", {}); }),
                "packed must be linear_pack(weight)"),
            "");
  EXPECT_EQ(has(any_error([&] { linear(x, w.to(kDouble), {}, {}, "none", {}); }),
                "weight must have the dtype of input, Float"),
            "");
  EXPECT_EQ(has(any_error([&] { linear_pack(randn({8})); }), "weight must be [outputs, inputs], given [8]"),
            "");
}

TEST_P(Linear, equals_float64_whatever_the_shape_and_the_number_of_threads) {
  for (const std::vector<int64_t>& shape : {std::vector<int64_t>{1, 64, 3072},
                                            {255, 96, 768},
                                            {257, 48, 1000},
                                            {600, 32, 3079},
                                            {513, 40, 129},
                                            {70, 768, 64},
                                            {33, 193, 31}}) {
    const Tensor x = randn({shape[0], shape[1]}),
                 w = randn({shape[2], shape[1]}) * (1 / std::sqrt(double(shape[1]))), b = randn({shape[2]}),
                 packed = linear_pack(w), expected = exact(x, w, b, "gelu", {});
    Tensor alone;
    for (int threads : {1, 2, 3, 7}) {
      const Threads some(threads);
      const Tensor y = linear(x, w, b, packed, "gelu", {});
      EXPECT_LT(largest_difference(y, expected), tolerance(kFloat))
          << threads << " threads, " << IntList(shape);
      if (!alone.defined()) alone = y;
      EXPECT_TRUE(equal(y, alone)) << threads << " threads change a bit of " << IntList(shape);
    }
  }
}

// The kernels by themselves: linear takes other ways for a few rows, and for bfloat16 where the processor
// multiplies tiles of it. bfloat16 also in float32, as processors without instructions for it multiply it.
TEST_P(Linear, the_kernels_of_products_equal_float64_for_every_type_and_layout) {
  const auto turned = [](const Tensor& t) { return t.t().contiguous().t(); };
  for (ScalarType type : {kFloat, kBFloat16, kHalf})
    for (const std::vector<int64_t>& shape :
         {std::vector<int64_t>{3, 17, 40}, {150, 200, 70}, {31, 390, 33}, {90, 401, 64}})
      for (const bool input_turned : {false, true})
        for (const bool weight_turned : {false, true}) {
          SCOPED_TRACE(text(type, " ", IntList(shape), " turned ", input_turned, " ", weight_turned));
          const Tensor x = randn({shape[0], shape[1]}, type),
                       w = (randn({shape[2], shape[1]}) * (1 / std::sqrt(double(shape[1])))).to(type),
                       b = randn({shape[2]}, type), r = randn({shape[0], shape[2]}, type),
                       out = full({shape[0], shape[2]}, 7, type);
          for (const cpu::PackedAs as : {cpu::PackedAs::float32, cpu::packed_as(type)}) {
            const Tensor packed = cpu::pack_weight(weight_turned ? turned(w) : w, as);
            EXPECT_TRUE(cpu::is_packed(packed, as, shape[1], shape[2]));
            cpu::multiply({input_turned ? turned(x) : x, packed, shape[2], b, cpu::Activation::relu, r, out});
            EXPECT_LT(largest_difference(out, exact(x, w, b, "relu", r)), tolerance(type)) << int(as);
          }
        }
}

TEST_P(Linear, the_gradient_of_the_bias_is_summed_beside_that_of_the_weight) {
  using Three = std::tuple<Tensor, Tensor, Tensor>;
  for (const ScalarType type : {kFloat, kBFloat16, kHalf})
    for (const std::vector<int64_t>& shape :
         {std::vector<int64_t>{40, 5, 33}, {257, 48, 100}, {1030, 33, 85}, {391, 130, 768}}) {
      SCOPED_TRACE(text(type, " ", IntList(shape)));
      const Tensor g = randn({shape[0], shape[2]}, type), x = randn({shape[0], shape[1]}, type),
                   w = randn({shape[2], shape[1]}, type);
      const Tensor exact = g.to(kDouble).sum(0);
      Tensor first;
      for (const int threads : {1, 2, 3, 7}) {
        const Threads some(threads);
        const Tensor bias = std::get<2>(call<Three>("_linear_backward", g, x, w, true, true, true));
        if (!first.defined()) first = bias;
        EXPECT_TRUE(equal(bias, first)) << threads;
      }
      EXPECT_EQ(first.scalar_type(), type);
      EXPECT_LT(largest_difference(first, exact), (type == kFloat  ? 1e-6
                                                   : type == kHalf ? 1e-3
                                                                   : 1e-2) *
                                                      values(exact.abs().max())[0]);
    }
}

TEST_P(Linear, many_threads_may_multiply_at_once) {
  const Tensor w = randn({64, 64}), packed = linear_pack(w);
  std::vector<std::thread> threads;
  std::vector<double> worst(4, 0);
  for (size_t t = 0; t < worst.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int64_t rows = 1; rows < 40; ++rows) {
        const Tensor x = ones({rows, 64}, kFloat);
        worst[t] = std::max(
            worst[t], largest_difference(linear(x, w, {}, packed, "none", {}), exact(x, w, {}, "none", {})));
      }
    });
  }
  for (std::thread& t : threads) t.join();
  for (double w : worst) EXPECT_LT(w, 1e-4);
}

TEST_P(Linear, a_packed_weight_serves_every_instruction_set) {
  const Tensor x = randn({40, 100}), w = randn({50, 100}),
               packed = cpu::pack_weight(w, cpu::PackedAs::float32);
  for (const std::string& other : cpu::instruction_sets()) {
    setenv("LONGFORMER_CPU_ISA", other.c_str(), 1);
    EXPECT_TRUE(equal(cpu::pack_weight(w, cpu::PackedAs::float32), packed)) << other;
    EXPECT_LT(largest_difference(linear(x, w, {}, packed, "none", {}), exact(x, w, {}, "none", {})), 1e-4)
        << other;
  }
}

FOR_EACH_INSTRUCTION_SET(Linear);

using Activations = OfInstructionSet;

double exact_gelu(double x) {
  return x * std::erfc(-x / std::sqrt(2.0)) / 2;
}

TEST_P(Activations, gelu_is_exact_to_rounding_for_every_number) {
  Doubles x;
  for (double at = -13; at < 13; at += 1e-4) x.push_back(float(at));
  for (int power = -40; power < 40; ++power)
    for (const double sign : {1.0, -1.0}) x.push_back(sign * std::ldexp(1.0, power));
  const Tensor input = tensor_of(x, {int64_t(x.size())}, kFloat), output = empty_like(input);
  cpu::activate_into(input, cpu::Activation::gelu, {}, output);
  const Doubles y = values(output);
  double worst = 0, worst_near_zero = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double error = std::abs(y[i] - exact_gelu(x[i]));
    worst = std::max(worst, error / (1 + std::abs(x[i])));
    if (std::abs(x[i]) < 0.1) worst_near_zero = std::max(worst_near_zero, error / std::abs(x[i]));
  }
  // The narrower instruction sets take a formula of seven digits for the error function.
  const bool exact = GetParam() == "avx512";
  EXPECT_LT(worst, exact ? 6e-8 : 2e-7);
  EXPECT_LT(worst_near_zero, exact ? 6e-8 : 4e-7);
}

TEST_P(Activations, hold_far_out_and_let_nan_through) {
  const Tensor x = tensor_of({0.0, -0.0, 200.0, -200.0, std::nan(""), 1e30, -1e30}, {7}, kFloat),
               out = empty_like(x);
  using cpu::Activation;
  for (const Activation a :
       {Activation::gelu, Activation::gelu_tanh, Activation::relu, Activation::tanh, Activation::silu}) {
    SCOPED_TRACE(static_cast<int>(a));
    cpu::activate_into(x, a, {}, out);
    const Doubles y = values(out);
    const bool bounded = a == Activation::tanh;
    EXPECT_EQ(y[0], 0);
    EXPECT_EQ(y[1], 0);
    EXPECT_EQ(y[2], bounded ? 1 : 200);
    EXPECT_NEAR(y[3], bounded ? -1 : 0, 1e-7);
    EXPECT_TRUE(std::isnan(y[4]));
    EXPECT_FLOAT_EQ(float(y[5]), bounded ? 1.0f : 1e30f);
    EXPECT_NEAR(y[6], bounded ? -1 : 0, 1e-7);
  }
}

double activated(cpu::Activation a, double x) {
  using cpu::Activation;
  if (a == Activation::gelu) return exact_gelu(x);
  if (a == Activation::gelu_tanh)
    return x / (1 + std::exp(-2 * std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  if (a == Activation::relu) return std::max(x, 0.0);
  if (a == Activation::tanh) return std::tanh(x);
  return a == Activation::silu ? x / (1 + std::exp(-x)) : x;
}

TEST_P(Activations, and_their_derivatives_write_their_elements_and_nothing_beside_them_in_every_type) {
  using cpu::Activation;
  for (ScalarType type : {kFloat, kBFloat16, kHalf})
    for (const Activation a : {Activation::none, Activation::gelu, Activation::gelu_tanh, Activation::relu,
                               Activation::tanh, Activation::silu})
      for (int64_t count : {1, 15, 16, 33, 64, 40000}) {
        SCOPED_TRACE(text(type, " activation ", static_cast<int>(a), ", ", count));
        const Tensor x = (randn({count}) * 2.0).to(type), r = randn({count}, type),
                     room = full({count + 3}, 7, type);
        cpu::activate_into(x, a, r, room.narrow(0, 0, count));
        EXPECT_TRUE(all_of(room.narrow(0, count, 3).eq(7)));
        const Doubles in = values(x), beside = values(r), y = values(room), g = beside;
        const double limit = type == kFloat ? 2e-6 : type == kHalf ? 2e-3 : 1.6e-2;
        for (size_t i = 0; i < in.size(); ++i) {
          const double expected = activated(a, in[i]) + beside[i];
          ASSERT_NEAR(y[i], expected, limit * (1 + std::abs(expected))) << in[i];
        }
        room.fill_(7);
        cpu::activate_backward_into(r, x, a, room.narrow(0, 0, count));
        EXPECT_TRUE(all_of(room.narrow(0, count, 3).eq(7)));
        const Doubles back = values(room);
        for (size_t i = 0; i < in.size(); ++i) {
          constexpr double h = 1e-5;
          if (a == Activation::relu && std::abs(in[i]) < h) continue;
          const double expected = g[i] * (activated(a, in[i] + h) - activated(a, in[i] - h)) / (2 * h);
          ASSERT_NEAR(back[i], expected, limit * (1 + std::abs(expected))) << in[i];
        }
      }
}

FOR_EACH_INSTRUCTION_SET(Activations);

}  // namespace
