// linear and add_layer_norm on the CPU against float64, every instruction set for the latter.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
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

namespace {

using OptionalTensor = c10::optional<at::Tensor>;

at::Tensor linear_pack(const at::Tensor& weight) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("longformer::linear_pack", "")
                             .typed<at::Tensor(const at::Tensor&)>();
  return op.call(weight);
}

at::Tensor linear(const at::Tensor& x, const at::Tensor& w, const OptionalTensor& b,
                  const OptionalTensor& packed, const std::string& activation,
                  const OptionalTensor& residual) {
  static const auto op =
      c10::Dispatcher::singleton()
          .findSchemaOrThrow("longformer::linear", "")
          .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const OptionalTensor&,
                            const OptionalTensor&, c10::string_view, const OptionalTensor&)>();
  return op.call(x, w, b, packed, activation, residual);
}

at::Tensor& linear_out(const at::Tensor& x, const at::Tensor& w, const OptionalTensor& b,
                       const OptionalTensor& packed, const std::string& activation,
                       const OptionalTensor& residual, at::Tensor& out) {
  static const auto op =
      c10::Dispatcher::singleton()
          .findSchemaOrThrow("longformer::linear", "out")
          .typed<at::Tensor&(const at::Tensor&, const at::Tensor&, const OptionalTensor&,
                             const OptionalTensor&, c10::string_view, const OptionalTensor&, at::Tensor&)>();
  return op.call(x, w, b, packed, activation, residual, out);
}

at::Tensor add_layer_norm(const at::Tensor& x, const OptionalTensor& r, const at::Tensor& w,
                          const at::Tensor& b, double eps) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("longformer::add_layer_norm", "")
                             .typed<at::Tensor(const at::Tensor&, const OptionalTensor&, const at::Tensor&,
                                               const at::Tensor&, double)>();
  return op.call(x, r, w, b, eps);
}

at::Tensor exact(const at::Tensor& x, const at::Tensor& w, const OptionalTensor& b,
                 const std::string& activation, const OptionalTensor& residual) {
  at::Tensor y = at::matmul(x.to(at::kDouble), w.to(at::kDouble).t());
  if (b) y = y + b->to(at::kDouble);
  if (activation == "gelu") y = at::gelu(y);
  if (activation == "gelu_tanh") y = at::gelu(y, "tanh");
  if (activation == "relu") y = y.relu();
  if (activation == "tanh") y = y.tanh();
  return residual ? y + residual->to(at::kDouble) : y;
}

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

double tolerance(at::ScalarType type) {
  return type == at::kDouble ? 1e-12 : type == at::kFloat ? 2e-5 : type == at::kHalf ? 1e-2 : 6e-2;
}

TEST(Linear, every_option_equals_float64) {
  at::manual_seed(3);
  for (at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf, at::kDouble}) {
    for (const std::vector<int64_t>& shape :
         {std::vector<int64_t>{300, 96, 160}, {1, 64, 2}, {7, 33, 5}, {64, 768, 768}}) {
      const at::Tensor x = at::randn({shape[0], shape[1]}, at::kDouble).to(type),
                       w = (at::randn({shape[2], shape[1]}, at::kDouble) / std::sqrt(double(shape[1])))
                               .to(type),
                       b = at::randn({shape[2]}, at::kDouble).to(type),
                       r = at::randn({shape[0], shape[2]}, at::kDouble).to(type);
      const at::Tensor packed = linear_pack(w);
      for (const std::string activation : {"none", "gelu", "gelu_tanh", "relu", "tanh"}) {
        for (const OptionalTensor& bias : {OptionalTensor(), OptionalTensor(b)}) {
          for (const OptionalTensor& residual : {OptionalTensor(), OptionalTensor(r)}) {
            // In half and double ATen's own operators may stand in, which reject what they cannot do in this
            // version.
            const at::Tensor expected = exact(x, w, bias, activation, residual);
            SCOPED_TRACE(activation + " " + c10::toString(type));
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
  const at::Tensor x = at::randn({3, 40, 5}).transpose(1, 2), w = at::randn({24, 40});
  const at::Tensor y = linear(x, w, {}, linear_pack(w), "none", {});
  EXPECT_EQ(y.sizes(), (at::IntArrayRef{3, 5, 24}));
  EXPECT_LT(largest_difference(y, exact(x, w, {}, "none", {})), 1e-4);
}

TEST(Linear, out_may_be_the_residual_or_strided) {
  const at::Tensor x = at::randn({50, 64}), w = at::randn({48, 64}) / 8, r = at::randn({50, 48});
  const at::Tensor expected = exact(x, w, {}, "gelu", r);
  at::Tensor out = r.clone();
  linear_out(x, w, {}, linear_pack(w), "gelu", out, out);
  EXPECT_LT(largest_difference(out, expected), 1e-5);
  at::Tensor strided = at::empty({48, 50}).t();
  linear_out(x, w, {}, {}, "gelu", r, strided);
  EXPECT_LT(largest_difference(strided, expected), 1e-5);
}

TEST(Linear, no_rows_give_no_rows) {
  const at::Tensor w = at::randn({8, 16});
  EXPECT_EQ(linear(at::empty({0, 16}), w, {}, linear_pack(w), "none", {}).sizes(), (at::IntArrayRef{0, 8}));
}

template <class Work>
std::string message_of(const Work& work) {
  try {
    work();
  } catch (const c10::Error& e) {
    return e.what_without_backtrace();
  }
  return "no error";
}

TEST(Linear, errors_name_the_argument_and_both_shapes) {
  const at::Tensor x = at::randn({4, 16}), w = at::randn({8, 16});
  const auto has = [](const std::string& message, const std::string& part) {
    return message.find(part) != std::string::npos ? std::string() : part + " is not in: " + message;
  };
  EXPECT_EQ(has(message_of([&] {
                  linear(at::randn({4, 15}), w, {}, {}, "none", {});
                }),
                "input must be [..., 16]"),
            "");
  EXPECT_EQ(
      has(message_of([&] { linear(x, w, at::randn({9}), {}, "none", {}); }), "bias must be [8], got [9]"),
      "");
  EXPECT_EQ(has(message_of([&] { linear(x, w, {}, {}, "swish", {}); }), "got \"swish\""), "");
  EXPECT_EQ(has(message_of([&] {
                  linear(x, w, {}, {}, "none", at::randn({4, 9}));
                }),
                "residual must be [4, 8], got [4, 9]"),
            "");
  EXPECT_EQ(has(message_of([&] { linear(x, w, {}, at::zeros({3}, at::kByte), "none", {}); }),
                "packed must be linear_pack(weight)"),
            "");
  EXPECT_EQ(
      has(message_of([&] { linear(x, w.to(at::kDouble), {}, {}, "none", {}); }), "weight must be Float"), "");
  EXPECT_EQ(
      has(message_of([&] { linear_pack(at::randn({8})); }), "weight must be [outputs, inputs], got [8]"), "");
}

#if defined(LONGFORMER_HAS_ONEDNN)
TEST(Linear, only_the_first_call_for_a_shape_creates_a_primitive) {
  const at::Tensor x = at::randn({37, 48}), w = at::randn({56, 48}), packed = linear_pack(w);
  const at::Tensor first = linear(x, w, {}, packed, "gelu", {});
  const int64_t before = longformer::cpu::created_primitives();
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(at::equal(linear(x, w, {}, packed, "gelu", {}), first));
  EXPECT_EQ(longformer::cpu::created_primitives(), before);
  linear(x, w, {}, packed, "relu", {});
  EXPECT_EQ(longformer::cpu::created_primitives(), before + 1);
}

TEST(Linear, many_threads_may_multiply_at_once) {
  const at::Tensor w = at::randn({64, 64}), packed = linear_pack(w);
  std::vector<std::thread> threads;
  std::vector<double> worst(4, 0);
  for (size_t t = 0; t < worst.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int64_t rows = 1; rows < 40; ++rows) {
        const at::Tensor x = at::ones({rows, 64});
        worst[t] = std::max(
            worst[t], largest_difference(linear(x, w, {}, packed, "none", {}), exact(x, w, {}, "none", {})));
      }
    });
  }
  for (std::thread& t : threads) t.join();
  for (double w : worst) EXPECT_LT(w, 1e-4);
}

// y = x W^T by the packed weight, for what linear does not let through to it.
longformer::cpu::Product product_of(const at::Tensor& x, const at::Tensor& packed, const at::Tensor& y) {
  longformer::cpu::Product p;
  p.rows = x.size(0);
  p.inputs = x.size(1);
  p.outputs = y.size(1);
  p.type = x.scalar_type() == at::kBFloat16 ? longformer::cpu::ProductType::bfloat16
                                            : longformer::cpu::ProductType::float32;
  p.packed = true;
  p.input = x.data_ptr();
  p.weight = packed.data_ptr();
  p.output = y.data_ptr();
  return p;
}
at::Tensor pack_bfloat16(const at::Tensor& w) {
  using namespace longformer::cpu;
  const int64_t inputs = w.size(1), outputs = w.size(0);
  const at::Tensor packed =
      at::empty({int64_t(packed_bytes(inputs, outputs, ProductType::bfloat16))}, at::kByte);
  pack_weight(w.data_ptr(), inputs, outputs, ProductType::bfloat16, packed.data_ptr());
  return packed;
}
double largest_relative_difference(const at::Tensor& y, const at::Tensor& expected) {
  return ((y.to(at::kDouble) - expected).abs() / (1 + expected.abs())).max().item<double>();
}

// Without instructions for it oneDNN multiplies bfloat16 all the same, slowly; linear avoids that, so it is
// tested here.
TEST(Linear, the_bfloat16_product_is_right_where_the_processor_has_no_instructions_for_it) {
  const at::Tensor x = at::randn({33, 64}).to(at::kBFloat16), w = at::randn({48, 64}).to(at::kBFloat16),
                   packed = pack_bfloat16(w);
  at::Tensor y = at::empty({33, 48}, at::kBFloat16);
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
  at::manual_seed(13);
  for (at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (int64_t columns : {1, 15, 16, 33, 64}) {
      const at::Tensor x = at::randn({5, columns}) * 3;
      at::Tensor y = at::full({5, columns + 3}, 7, at::TensorOptions().dtype(type));
      const Element element = type == at::kFloat      ? Element::float32
                              : type == at::kBFloat16 ? Element::bfloat16
                                                      : Element::float16;
      gelu_rows(Isa::avx512)(gelu_table(), x.data_ptr<float>(), 5, columns, y.data_ptr(), columns + 3,
                             element);
      EXPECT_TRUE((y.narrow(1, columns, 3) == 7).all().item<bool>());
      EXPECT_TRUE(at::allclose(y.narrow(1, 0, columns).to(at::kDouble), at::gelu(x.to(at::kDouble)),
                               type == at::kFloat ? 1e-6 : 8e-3, 1e-6));
    }
  }
}

TEST(Gelu, a_product_in_pieces_equals_float64_whatever_its_shape_and_the_number_of_threads) {
  at::manual_seed(17);
  const int before = at::get_num_threads();
  for (int threads : {1, 2, 3, 7}) {
    at::set_num_threads(threads);
    for (at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf}) {
      for (const std::vector<int64_t>& shape : {std::vector<int64_t>{1, 64, 3072},
                                                {255, 96, 768},
                                                {257, 48, 1000},
                                                {600, 32, 3079},
                                                {513, 40, 129},
                                                {70, 768, 64}}) {
        const at::Tensor x = at::randn({shape[0], shape[1]}).to(type),
                         w = (at::randn({shape[2], shape[1]}) / std::sqrt(float(shape[1]))).to(type),
                         b = at::randn({shape[2]}).to(type);
        for (const OptionalTensor& bias : {OptionalTensor(), OptionalTensor(b)}) {
          SCOPED_TRACE(std::to_string(threads) + " threads, " + c10::toString(type));
          EXPECT_LT(largest_difference(linear(x, w, bias, linear_pack(w), "gelu", {}),
                                       exact(x, w, bias, "gelu", {})),
                    tolerance(type));
        }
      }
    }
  }
  at::set_num_threads(before);
}

// As the_bfloat16_product_is_right...: here oneDNN may say that it has no such pieces, but not be wrong.
TEST(Gelu, a_bfloat16_product_in_pieces_is_right_or_refused) {
  using namespace longformer::cpu;
  at::manual_seed(19);
  const at::Tensor x = at::randn({70, 64}).to(at::kBFloat16),
                   w = (at::randn({768, 64}) / 8).to(at::kBFloat16), b = at::randn({768}).to(at::kBFloat16);
  const at::Tensor packed = pack_bfloat16(w);
  at::Tensor y = at::empty({70, 768}, at::kBFloat16);
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
  const at::Tensor x = at::randn({512, 768}), w = at::randn({3072, 768}) / 28, packed = linear_pack(w);
  at::Tensor y = at::full({512, 3072}, 5.0f);
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
  EXPECT_TRUE((y == 5).all().item<bool>());
}

#endif

using LayerNorm = longformer::test::OfInstructionSet;

TEST_P(LayerNorm, equals_float64_for_every_dtype_and_width) {
  at::manual_seed(5);
  for (at::ScalarType type : {at::kFloat, at::kDouble, at::kBFloat16, at::kHalf}) {
    for (int64_t columns : {1, 3, 16, 31, 768, 1000}) {
      const at::Tensor x = (at::randn({70, columns}, at::kDouble) * 3 + 1).to(type),
                       r = at::randn({70, columns}, at::kDouble).to(type),
                       w = at::randn({columns}, at::kDouble).to(type),
                       b = at::randn({columns}, at::kDouble).to(type);
      for (const OptionalTensor& residual : {OptionalTensor(), OptionalTensor(r)}) {
        at::Tensor sum = x.to(at::kDouble);
        if (residual) sum = sum + residual->to(at::kDouble);
        const at::Tensor expected =
            at::layer_norm(sum, {columns}, w.to(at::kDouble), b.to(at::kDouble), 1e-5);
        const double limit = type == at::kDouble  ? 1e-12
                             : type == at::kFloat ? 4e-6
                             : type == at::kHalf  ? 1e-2
                                                  : 8e-2;
        const at::Tensor y = add_layer_norm(x, residual, w, b, 1e-5);
        EXPECT_EQ(y.scalar_type(), type);
        EXPECT_LT(largest_difference(y, expected), limit) << c10::toString(type) << " " << columns;
      }
    }
  }
}

TEST_P(LayerNorm, a_large_mean_does_not_cancel) {
  const at::Tensor x = at::randn({8, 768}) + 1000, w = at::ones({768}), b = at::zeros({768});
  const at::Tensor expected =
      at::layer_norm(x.to(at::kDouble), {768}, w.to(at::kDouble), b.to(at::kDouble), 1e-5);
  EXPECT_LT(largest_difference(add_layer_norm(x, {}, w, b, 1e-5), expected), 1e-3);
}

TEST_P(LayerNorm, a_constant_row_gives_the_bias_and_a_nan_stays_in_its_row) {
  at::Tensor x = at::full({3, 33}, 7.0f);
  x[1][5] = std::numeric_limits<float>::quiet_NaN();
  const at::Tensor b = at::randn({33}), y = add_layer_norm(x, {}, at::ones({33}), b, 1e-5);
  EXPECT_TRUE(at::equal(y[0], b) && at::equal(y[2], b));
  EXPECT_TRUE(y[1].isnan().all().item<bool>());
}

TEST_P(LayerNorm, takes_leading_dimensions_strides_and_no_rows) {
  const at::Tensor x = at::randn({4, 20, 6}).transpose(1, 2), w = at::randn({20}), b = at::randn({20});
  EXPECT_LT(largest_difference(add_layer_norm(x, {}, w, b, 1e-5), at::layer_norm(x, {20}, w, b, 1e-5)), 4e-6);
  EXPECT_EQ(add_layer_norm(at::empty({0, 20}), {}, w, b, 1e-5).numel(), 0);
}

TEST_P(LayerNorm, writes_into_a_tensor_which_may_be_an_operand) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("longformer::add_layer_norm", "out")
                             .typed<at::Tensor&(const at::Tensor&, const OptionalTensor&, const at::Tensor&,
                                                const at::Tensor&, double, at::Tensor&)>();
  const at::Tensor x = at::randn({70, 48}), r = at::randn({70, 48}), w = at::randn({48}), b = at::randn({48}),
                   expected = add_layer_norm(x, r, w, b, 1e-5);
  at::Tensor out = at::empty({70, 48}), in_input = x.clone(), in_residual = r.clone();
  EXPECT_TRUE(at::equal(op.call(x, r, w, b, 1e-5, out), expected));
  EXPECT_TRUE(at::equal(op.call(in_input, r, w, b, 1e-5, in_input), expected));
  EXPECT_TRUE(at::equal(op.call(x, in_residual, w, b, 1e-5, in_residual), expected));
  at::Tensor strided = at::empty({48, 70}).t(), doubles = at::empty({70, 48}, at::kDouble);
  EXPECT_TRUE(at::equal(op.call(x, r, w, b, 1e-5, strided), expected));
  EXPECT_TRUE(at::equal(op.call(x, r, w, b, 1e-5, doubles), expected.to(at::kDouble)));
  at::Tensor wrong = at::empty({48, 70});
  EXPECT_ANY_THROW(op.call(x, r, w, b, 1e-5, wrong));
}

FOR_EACH_INSTRUCTION_SET(LayerNorm);

}  // namespace
