// linear and add_layer_norm on the CPU against float64, every instruction set for the latter.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "../ops/cpu/gelu.h"
#include "../ops/cpu/gelu_linear.h"
#include "../ops/cpu/onednn_linear.h"
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

Tensor add_layer_norm(const Tensor& x, const OptionalTensor& r, const Tensor& w, const Tensor& b, double eps) {
  return call<Tensor>("add_layer_norm", x, r, w, b, eps);
}

Tensor exact(const Tensor& x, const Tensor& w, const OptionalTensor& b, const std::string& activation,
             const OptionalTensor& residual) {
  Tensor y = matmul(x.to(kDouble), w.to(kDouble).t());
  if (b) y = y + b->to(kDouble);
  if (activation == "gelu") y = y.gelu(false);
  if (activation == "gelu_tanh") y = y.gelu(true);
  if (activation == "relu") y = y.relu();
  if (activation == "tanh") y = y.tanh();
  return residual ? y + residual->to(kDouble) : y;
}

double tolerance(ScalarType type) {
  return type == kDouble ? 1e-12 : type == kFloat ? 2e-5 : type == kHalf ? 1e-2 : 6e-2;
}

TEST(Linear, every_option_equals_float64) {
  reseed(3);
  for (ScalarType type : {kFloat, kBFloat16, kHalf, kDouble}) {
    for (const std::vector<int64_t>& shape :
         {std::vector<int64_t>{300, 96, 160}, {1, 64, 2}, {7, 33, 5}, {64, 768, 768}}) {
      const Tensor x = randn({shape[0], shape[1]}, type),
                       w = (randn({shape[2], shape[1]}, kDouble) * (1 / std::sqrt(double(shape[1])))).to(type),
                       b = randn({shape[2]}, type),
                       r = randn({shape[0], shape[2]}, type);
      const Tensor packed = linear_pack(w);
      for (const std::string activation : {"none", "gelu", "gelu_tanh", "relu", "tanh"}) {
        for (const OptionalTensor& bias : {OptionalTensor(), OptionalTensor(b)}) {
          for (const OptionalTensor& residual : {OptionalTensor(), OptionalTensor(r)}) {
            // In half and double ATen's own operators may stand in, which reject what they cannot do in this
            // version.
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

TEST(Linear, leading_dimensions_and_strides_of_the_input_do_not_matter) {
  const Tensor x = randn({3, 40, 5}).transpose(1, 2), w = randn({24, 40});
  const Tensor y = linear(x, w, {}, linear_pack(w), "none", {});
  EXPECT_EQ(y.sizes(), IntList({3, 5, 24}));
  EXPECT_LT(largest_difference(y, exact(x, w, {}, "none", {})), 1e-4);
}

TEST(Linear, out_may_be_the_residual_or_strided) {
  const Tensor x = randn({50, 64}), w = randn({48, 64}) * (1.0 / 8), r = randn({50, 48});
  const Tensor expected = exact(x, w, {}, "gelu", r);
  Tensor out = r.clone();
  linear_into(x, w, {}, linear_pack(w), "gelu", out, out);
  EXPECT_LT(largest_difference(out, expected), 1e-5);
  Tensor strided = empty({48, 50}, kFloat).t();
  linear_into(x, w, {}, {}, "gelu", r, strided);
  EXPECT_LT(largest_difference(strided, expected), 1e-5);
}

TEST(Linear, no_rows_give_no_rows) {
  const Tensor w = randn({8, 16});
  EXPECT_EQ(linear(empty({0, 16}, kFloat), w, {}, linear_pack(w), "none", {}).sizes(), IntList({0, 8}));
}

TEST(Linear, errors_name_the_argument_and_both_shapes) {
  const Tensor x = randn({4, 16}), w = randn({8, 16});
  const auto has = [](const std::string& message, const std::string& part) {
    return message.find(part) != std::string::npos ? std::string() : part + " is not in: " + message;
  };
  EXPECT_EQ(has(any_error([&] {
                  linear(randn({4, 15}), w, {}, {}, "none", {});
                }),
                "input must be [..., 16]"),
            "");
  EXPECT_EQ(
      has(any_error([&] { linear(x, w, randn({9}), {}, "none", {}); }), "bias must be [8], got [9]"),
      "");
  EXPECT_EQ(has(any_error([&] { linear(x, w, {}, {}, "swish", {}); }), "got \"swish\""), "");
  EXPECT_EQ(has(any_error([&] {
                  linear(x, w, {}, {}, "none", randn({4, 9}));
                }),
                "residual must be [4, 8], got [4, 9]"),
            "");
  EXPECT_EQ(has(any_error([&] { linear(x, w, {}, zeros({3}, kByte), "none", {}); }),
                "packed must be linear_pack(weight)"),
            "");
  EXPECT_EQ(
      has(any_error([&] { linear(x, w.to(kDouble), {}, {}, "none", {}); }), "weight must be Float"), "");
  EXPECT_EQ(
      has(any_error([&] { linear_pack(randn({8})); }), "weight must be [outputs, inputs], got [8]"), "");
}

#if defined(LONGFORMER_HAS_ONEDNN)
TEST(Linear, only_the_first_call_for_a_shape_creates_a_primitive) {
  const Tensor x = randn({37, 48}), w = randn({56, 48}), packed = linear_pack(w);
  const Tensor first = linear(x, w, {}, packed, "gelu", {});
  const int64_t before = longformer::cpu::created_primitives();
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(equal(linear(x, w, {}, packed, "gelu", {}), first));
  EXPECT_EQ(longformer::cpu::created_primitives(), before);
  linear(x, w, {}, packed, "relu", {});
  EXPECT_EQ(longformer::cpu::created_primitives(), before + 1);
}

TEST(Linear, many_threads_may_multiply_at_once) {
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

// y = x W^T by the packed weight, for what linear does not let through to it.
longformer::cpu::Product product_of(const Tensor& x, const Tensor& packed, const Tensor& y) {
  longformer::cpu::Product p;
  p.rows = x.size(0);
  p.inputs = x.size(1);
  p.outputs = y.size(1);
  p.type = x.scalar_type() == kBFloat16 ? longformer::cpu::ProductType::bfloat16
                                            : longformer::cpu::ProductType::float32;
  p.packed = true;
  p.input = x.data_ptr();
  p.weight = packed.data_ptr();
  p.output = y.data_ptr();
  return p;
}
Tensor pack_bfloat16(const Tensor& w) {
  using namespace longformer::cpu;
  const int64_t inputs = w.size(1), outputs = w.size(0);
  const Tensor packed =
      empty({int64_t(packed_bytes(inputs, outputs, ProductType::bfloat16))}, kByte);
  pack_weight(w.data_ptr(), inputs, outputs, ProductType::bfloat16, packed.data_ptr());
  return packed;
}
double largest_relative_difference(const Tensor& y, const Tensor& expected) {
  const Doubles a = values(y), e = values(expected);
  double worst = a.size() == e.size() ? 0 : std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < std::min(a.size(), e.size()); ++i)
    worst = std::max(worst, std::abs(a[i] - e[i]) / (1 + std::abs(e[i])));
  return worst;
}

// Without instructions for it oneDNN multiplies bfloat16 all the same, slowly; linear avoids that, so it is
// tested here.
TEST(Linear, the_bfloat16_product_is_right_where_the_processor_has_no_instructions_for_it) {
  const Tensor x = randn({33, 64}).to(kBFloat16), w = randn({48, 64}).to(kBFloat16),
                   packed = pack_bfloat16(w);
  Tensor y = empty({33, 48}, kBFloat16);
  longformer::cpu::multiply(product_of(x, packed, y));
  EXPECT_LT(largest_relative_difference(y, exact(x, w, {}, "none", {})), 0.01);
}

double exact_gelu(double x) {
  return x * std::erfc(-x / std::sqrt(2.0)) / 2;
}

TEST(Gelu, is_exact_to_rounding_for_every_number) {
  using namespace longformer::cpu;
  if (!supported(Isa::avx512)) GTEST_SKIP() << "no kernel without AVX-512";
  const GeluRows gelu = gelu_rows(Isa::avx512);
  std::vector<float> x, y(4099);
  for (double at = -13; at < 13; at += 1e-4) x.push_back(float(at));
  for (int power = -40; power < 40; ++power) {
    x.push_back(std::ldexp(1.0f, power));
    x.push_back(-std::ldexp(1.0f, power));
  }
  double worst = 0, worst_near_zero = 0;
  for (size_t from = 0; from < x.size(); from += y.size()) {
    const size_t count = std::min(y.size(), x.size() - from);
    gelu(gelu_table(), x.data() + from, 1, int64_t(count), y.data(), int64_t(count), Element::float32);
    for (size_t i = 0; i < count; ++i) {
      const double at = x[from + i], error = std::abs(y[i] - exact_gelu(at));
      worst = std::max(worst, error / (1 + std::abs(at)));
      if (std::abs(at) < 0.1) worst_near_zero = std::max(worst_near_zero, error / std::abs(at));
    }
  }
  EXPECT_LT(worst, 6e-8);
  EXPECT_LT(worst_near_zero, 6e-8);
  const float infinity = std::numeric_limits<float>::infinity();
  const float special[] = {0.0f, -0.0f, infinity, -infinity, std::nanf(""), 3e38f, -3e38f};
  gelu(gelu_table(), special, 1, 7, y.data(), 7, Element::float32);
  EXPECT_EQ(y[0], 0);
  EXPECT_EQ(y[1], 0);
  EXPECT_EQ(y[2], infinity);
  EXPECT_NEAR(y[3], 0, 1e-8);
  EXPECT_TRUE(std::isnan(y[4]));
  EXPECT_EQ(y[5], 3e38f);
  EXPECT_NEAR(y[6], 0, 1e-8);
}

TEST(Gelu, writes_its_rows_and_nothing_beside_them_in_every_type) {
  using namespace longformer::cpu;
  if (!supported(Isa::avx512)) GTEST_SKIP() << "no kernel without AVX-512";
  reseed(13);
  for (ScalarType type : {kFloat, kBFloat16, kHalf}) {
    for (int64_t columns : {1, 15, 16, 33, 64}) {
      const Tensor x = randn({5, columns}) * 3.0;
      Tensor y = full({5, columns + 3}, 7, type);
      const Element element = type == kFloat      ? Element::float32
                              : type == kBFloat16 ? Element::bfloat16
                                                      : Element::float16;
      gelu_rows(Isa::avx512)(gelu_table(), x.data_ptr<float>(), 5, columns, y.data_ptr(), columns + 3,
                             element);
      EXPECT_TRUE(all_of(y.narrow(1, columns, 3).eq(7)));
      EXPECT_LT(largest_relative_difference(y.narrow(1, 0, columns), x.to(kDouble).gelu(false)),
                type == kFloat ? 1e-6 : 8e-3);
    }
  }
}

TEST(Gelu, a_product_in_pieces_equals_float64_whatever_its_shape_and_the_number_of_threads) {
  reseed(17);
  for (int threads : {1, 2, 3, 7}) {
    const Threads some(threads);
    for (ScalarType type : {kFloat, kBFloat16, kHalf}) {
      for (const std::vector<int64_t>& shape : {std::vector<int64_t>{1, 64, 3072},
                                                {255, 96, 768},
                                                {257, 48, 1000},
                                                {600, 32, 3079},
                                                {513, 40, 129},
                                                {70, 768, 64}}) {
        const Tensor x = randn({shape[0], shape[1]}, type),
                         w = (randn({shape[2], shape[1]}) * (1 / std::sqrt(float(shape[1])))).to(type),
                         b = randn({shape[2]}, type);
        for (const OptionalTensor& bias : {OptionalTensor(), OptionalTensor(b)}) {
          SCOPED_TRACE(std::to_string(threads) + " threads, " + name_of(type));
          EXPECT_LT(largest_difference(linear(x, w, bias, linear_pack(w), "gelu", {}),
                                       exact(x, w, bias, "gelu", {})),
                    tolerance(type));
        }
      }
    }
  }
}

// As the_bfloat16_product_is_right...: here oneDNN may say that it has no such pieces, but not be wrong.
TEST(Gelu, a_bfloat16_product_in_pieces_is_right_or_refused) {
  using namespace longformer::cpu;
  reseed(19);
  const Tensor x = randn({70, 64}).to(kBFloat16),
                   w = (randn({768, 64}) * (1.0 / 8)).to(kBFloat16), b = randn({768}).to(kBFloat16);
  const Tensor packed = pack_bfloat16(w);
  Tensor y = empty({70, 768}, kBFloat16);
  Product p = product_of(x, packed, y);
  p.bias = b.data_ptr();
  p.activation = Activation::gelu;
  const bool done = multiply_with_gelu(p, Element::bfloat16);
  RecordProperty("in_pieces", done);
  if (!done) multiply(p);
  EXPECT_LT(largest_relative_difference(y, exact(x, w, b, "gelu", {})), 0.01);
}

// That the pieces are what computes the feed-forward layer of a base-size model, and only where they can.
TEST(Gelu, a_product_goes_in_pieces_where_its_layout_and_the_processor_allow_it) {
  using namespace longformer::cpu;
  const Tensor x = randn({512, 768}), w = randn({3072, 768}) * (1.0 / 28), packed = linear_pack(w);
  Tensor y = full({512, 3072}, 5, kFloat);
  Product p = product_of(x, packed, y);
  p.activation = Activation::gelu;
  EXPECT_EQ(multiply_with_gelu(p, Element::float32), supported(Isa::avx512));
  if (supported(Isa::avx512)) {
    EXPECT_LT(largest_difference(y, exact(x, w, {}, "gelu", {})), 2e-5);
  }
  y.fill_(5);
  setenv("LONGFORMER_CPU_ISA", "portable", 1);
  EXPECT_FALSE(multiply_with_gelu(p, Element::float32));
  unsetenv("LONGFORMER_CPU_ISA");
  p.activation = Activation::relu;
  EXPECT_FALSE(multiply_with_gelu(p, Element::float32));
  p.activation = Activation::gelu;
  p.residual = y.data_ptr();
  EXPECT_FALSE(multiply_with_gelu(p, Element::float32));
  p.residual = nullptr;
  p.packed = false;
  EXPECT_FALSE(multiply_with_gelu(p, Element::float32));
  EXPECT_TRUE(all_of(y.eq(5)));
}

#endif

using LayerNorm = OfInstructionSet;

TEST_P(LayerNorm, equals_float64_for_every_dtype_and_width) {
  reseed(5);
  for (ScalarType type : {kFloat, kDouble, kBFloat16, kHalf}) {
    for (int64_t columns : {1, 3, 16, 31, 768, 1000}) {
      const Tensor x = (randn({70, columns}, kDouble) * 3.0).add(1.0).to(type),
                       r = randn({70, columns}, type),
                       w = randn({columns}, type),
                       b = randn({columns}, type);
      for (const OptionalTensor& residual : {OptionalTensor(), OptionalTensor(r)}) {
        Tensor sum = x.to(kDouble);
        if (residual) sum = sum + residual->to(kDouble);
        const Tensor expected =
            layer_norm(sum, w.to(kDouble), b.to(kDouble), 1e-5);
        const double limit = type == kDouble  ? 1e-12
                             : type == kFloat ? 4e-6
                             : type == kHalf  ? 1e-2
                                                  : 8e-2;
        const Tensor y = add_layer_norm(x, residual, w, b, 1e-5);
        EXPECT_EQ(y.scalar_type(), type);
        EXPECT_LT(largest_difference(y, expected), limit) << name_of(type) << " " << columns;
      }
    }
  }
}

TEST_P(LayerNorm, a_large_mean_does_not_cancel) {
  const Tensor x = randn({8, 768}).add(1000.0), w = ones({768}, kFloat), b = zeros({768}, kFloat);
  const Tensor expected =
      layer_norm(x.to(kDouble), w.to(kDouble), b.to(kDouble), 1e-5);
  EXPECT_LT(largest_difference(add_layer_norm(x, {}, w, b, 1e-5), expected), 1e-3);
}

TEST_P(LayerNorm, a_constant_row_gives_the_bias_and_a_nan_stays_in_its_row) {
  Tensor x = full({3, 33}, 7, kFloat);
  x[1][5].fill_(std::numeric_limits<float>::quiet_NaN());
  const Tensor b = randn({33}), y = add_layer_norm(x, {}, ones({33}, kFloat), b, 1e-5);
  EXPECT_TRUE(equal(y[0], b) && equal(y[2], b));
  EXPECT_TRUE(all_of(y[1].isnan()));
}

TEST_P(LayerNorm, takes_leading_dimensions_strides_and_no_rows) {
  const Tensor x = randn({4, 20, 6}).transpose(1, 2), w = randn({20}), b = randn({20});
  EXPECT_LT(largest_difference(add_layer_norm(x, {}, w, b, 1e-5), layer_norm(x, w, b, 1e-5)), 4e-6);
  EXPECT_EQ(add_layer_norm(empty({0, 20}, kFloat), {}, w, b, 1e-5).numel(), 0);
}

TEST_P(LayerNorm, writes_into_a_tensor_which_may_be_an_operand) {
  const auto into = [](const Tensor& input, const Tensor& residual, const Tensor& weight, const Tensor& bias, const Tensor& out) {
    call<void>("_add_layer_norm_into", input, OptionalTensor(residual), weight, bias, 1e-5, out);
    return out;
  };
  const Tensor x = randn({70, 48}), r = randn({70, 48}), w = randn({48}), b = randn({48}),
                   expected = add_layer_norm(x, r, w, b, 1e-5);
  Tensor out = empty({70, 48}, kFloat), in_input = x.clone(), in_residual = r.clone();
  EXPECT_TRUE(equal(into(x, r, w, b, out), expected));
  EXPECT_TRUE(equal(into(in_input, r, w, b, in_input), expected));
  EXPECT_TRUE(equal(into(x, in_residual, w, b, in_residual), expected));
  Tensor strided = empty({48, 70}, kFloat).t(), doubles = empty({70, 48}, kDouble);
  EXPECT_TRUE(equal(into(x, r, w, b, strided), expected));
  EXPECT_TRUE(equal(into(x, r, w, b, doubles), expected.to(kDouble)));
  Tensor wrong = empty({48, 70}, kFloat);
  EXPECT_ANY_THROW(into(x, r, w, b, wrong));
}

FOR_EACH_INSTRUCTION_SET(LayerNorm);

}  // namespace
