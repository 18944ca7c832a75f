// Linear layers with weights of eight bits, for every instruction set and both forms of packed weights,
// against a reference in float64 that quantizes, dequantizes and multiplies one number after the other.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "../ops/cpu/int8_linear.h"
#include "../ops/cpu/multiply.h"
#include "kernels_isa.h"

using namespace longformer;
using namespace longformer::test;

namespace {

using Quantized = std::tuple<Tensor, Tensor>;

Quantized quantize(const Tensor& weight) {
  return call<Quantized>("_int8_quantize", weight);
}

// The reference: each row as scale * q with q the nearest integers and scale = max|row| / 127.
struct Rows {
  Doubles quantized, scale;
};
Rows reference_rows(const Tensor& t) {
  const Doubles v = values(t.to(kDouble).contiguous());
  const size_t rows = size_t(t.size(0)), columns = size_t(t.size(1));
  Rows result{Doubles(v.size()), Doubles(rows)};
  for (size_t r = 0; r < rows; ++r) {
    double largest = 0;
    for (size_t i = 0; i < columns; ++i) largest = std::max(largest, std::abs(v[r * columns + i]));
    result.scale[r] = largest / 127;
    for (size_t i = 0; i < columns; ++i)
      result.quantized[r * columns + i] =
          largest == 0 ? 0 : std::nearbyint(v[r * columns + i] / (largest / 127));
  }
  return result;
}
Tensor dequantized(const Rows& rows, IntList shape) {
  Doubles v = rows.quantized;
  const size_t columns = size_t(shape[1]);
  for (size_t i = 0; i < v.size(); ++i) v[i] *= rows.scale[i / columns];
  return tensor_of(v, shape, kDouble);
}
Tensor dequantized(const Tensor& quantized, const Tensor& scale) {
  return quantized.to(kDouble) * scale.to(kDouble).unsqueeze(1);
}

Tensor reference(const Tensor& x, const Tensor& w, const OptionalTensor& b, const std::string& activation,
                 const OptionalTensor& residual) {
  Tensor y = matmul(x, w.t());
  if (b) y = y + b->to(kDouble);
  y = activated(y, activation);
  return residual ? y + residual->to(kDouble) : y;
}

Tensor int8_linear(const Tensor& x, const Quantized& w, const OptionalTensor& b, const OptionalTensor& packed,
                   const std::string& activation = "none", const OptionalTensor& residual = {}) {
  return call<Tensor>("_int8_linear", x, std::get<0>(w), std::get<1>(w), b, packed, activation, residual);
}

double tolerance(ScalarType type) {
  return type == kFloat ? 2e-5 : type == kHalf ? 1e-2 : 6e-2;
}

// A quotient halfway between two integers may be rounded to either, in float32 and in float64: the inputs
// here are multiples of a step that keeps away from that.
Tensor clear_of_ties(IntList shape, ScalarType type) {
  Doubles v = values(randn(shape, kDouble));
  const size_t columns = size_t(shape[1]);
  for (size_t i = 0; i < v.size(); ++i) v[i] = std::nearbyint(std::min(std::max(v[i], -4.0), 4.0) * 15) / 16;
  for (size_t r = 0; r < size_t(shape[0]); ++r) v[r * columns] = r % 2 == 0 ? 127.0 / 32 : -127.0 / 16;
  return tensor_of(v, shape, type);
}

using Int8 = OfInstructionSet;

TEST_P(Int8, quantizes_each_row_to_the_nearest_of_255_steps) {
  for (ScalarType type : {kFloat, kBFloat16, kHalf, kDouble}) {
    const Tensor w = randn({37, 129}, type);
    const auto [q, scale] = quantize(w);
    EXPECT_EQ(q.scalar_type(), kChar);
    EXPECT_EQ(q.sizes(), w.sizes());
    EXPECT_EQ(scale.sizes(), IntList({37}));
    const Doubles v = values(w), n = values(q), s = values(scale);
    for (size_t r = 0; r < 37; ++r) {
      double largest = 0;
      for (size_t i = r * 129; i < (r + 1) * 129; ++i) {
        largest = std::max(largest, std::abs(n[i]));
        EXPECT_LE(std::abs(n[i] * s[r] - v[i]), 0.5 * s[r] * (1 + 1e-5)) << r << " " << i;
      }
      EXPECT_EQ(largest, 127) << r;
    }
  }
}

TEST_P(Int8, a_row_of_zeros_stays_zeros_and_a_number_that_is_not_finite_is_refused) {
  const auto [q, scale] = quantize(zeros({2, 5}, kFloat));
  EXPECT_EQ(count_nonzero(q), 0);
  EXPECT_EQ(count_nonzero(scale), 0);
  for (const double bad : {std::nan(""), double(std::numeric_limits<float>::infinity())}) {
    const Tensor w = ones({3, 70}, kFloat);
    w.narrow(0, 1, 1).narrow(1, 68, 1).fill_(bad);
    expect_words(any_error([&] { quantize(w); }), {"_int8_quantize: weight must be finite"});
  }
}

// Weights and inputs of eight bits: the sums are exact, so that only the scaling rounds.
TEST_P(Int8, packed_equals_the_reference_for_every_option_and_form) {
  for (ScalarType type : {kFloat, kBFloat16, kHalf})
    for (const std::vector<int64_t>& shape :
         {std::vector<int64_t>{100, 96, 40}, {1, 64, 2}, {7, 33, 5}, {33, 1541, 67}, {20, 768, 96}}) {
      const Tensor x = clear_of_ties({shape[0], shape[1]}, type), w = randn({shape[2], shape[1]}) * 0.05,
                   b = randn({shape[2]}, type), r = randn({shape[0], shape[2]}, type);
      const Quantized quantized = quantize(w);
      const Tensor exact_x = dequantized(reference_rows(x), x.sizes()),
                   exact_w = dequantized(std::get<0>(quantized), std::get<1>(quantized));
      std::vector<Tensor> forms = {call<Tensor>("_int8_pack", std::get<0>(quantized)),
                                   cpu::pack_int8(std::get<0>(quantized), kShort)};
      for (const std::string activation : {"none", "gelu", "gelu_tanh", "relu", "tanh", "silu"})
        for (const bool with : {false, true}) {
          if (with == (activation.size() % 2 == 0) && type != kFloat) continue;
          const OptionalTensor bias = with ? OptionalTensor(b) : OptionalTensor(),
                               residual = with ? OptionalTensor(r) : OptionalTensor();
          const Tensor expected = reference(exact_x, exact_w, bias, activation, residual);
          for (const Tensor& packed : forms) {
            SCOPED_TRACE(text(type, " ", IntList(shape), " ", activation, " ", packed.scalar_type()));
            EXPECT_LT(
                largest_difference(int8_linear(x, quantized, bias, packed, activation, residual), expected),
                tolerance(type) * (1 + std::abs(values(expected.abs().max())[0])));
          }
        }
    }
}

TEST_P(Int8, both_forms_give_the_same_bits_whatever_the_number_of_threads) {
  for (const std::vector<int64_t>& shape :
       {std::vector<int64_t>{1, 64, 3072}, {257, 48, 1000}, {600, 3079, 32}, {70, 770, 64}}) {
    const Tensor x = randn({shape[0], shape[1]}), w = randn({shape[2], shape[1]}), b = randn({shape[2]});
    const Quantized quantized = quantize(w);
    const Tensor first = int8_linear(x, quantized, b, call<Tensor>("_int8_pack", std::get<0>(quantized)));
    for (int threads : {1, 2, 3, 7}) {
      const Threads some(threads);
      for (const Tensor& packed : {call<Tensor>("_int8_pack", std::get<0>(quantized)),
                                   cpu::pack_int8(std::get<0>(quantized), kShort)})
        EXPECT_TRUE(equal(int8_linear(x, quantized, b, packed), first))
            << packed.scalar_type() << ", " << threads << " threads, " << IntList(shape);
    }
  }
}

TEST_P(Int8, is_near_the_product_in_float32) {
  const Tensor x = randn({200, 768}), w = randn({300, 768}) * (1 / std::sqrt(768.0));
  const Quantized quantized = quantize(w);
  const Tensor exact = matmul(x.to(kDouble), w.to(kDouble).t());
  // Errors of rounding are even over a step of 2 max / 255: about 1% of the result's spread, which is 1.
  EXPECT_LT(largest_difference(
                int8_linear(x, quantized, {}, call<Tensor>("_int8_pack", std::get<0>(quantized))), exact),
            0.08);
  EXPECT_LT(largest_difference(int8_linear(x, quantized, {}, {}), exact), 0.06);
}

TEST_P(Int8, without_a_packed_form_only_the_weight_has_eight_bits) {
  for (ScalarType type : {kFloat, kBFloat16, kHalf})
    for (const std::vector<int64_t>& shape :
         {std::vector<int64_t>{1, 768, 96}, {4, 33, 5}, {17, 100, 31}, {80, 65, 40}}) {
      const Tensor x = randn({shape[0], shape[1]}, type), b = randn({shape[2]}, type),
                   r = randn({shape[0], shape[2]}, type);
      const Quantized quantized = quantize(randn({shape[2], shape[1]}) * (1 / std::sqrt(double(shape[1]))));
      const Tensor w = dequantized(std::get<0>(quantized), std::get<1>(quantized));
      for (const std::string activation : {"none", "gelu", "relu"})
        for (const OptionalTensor& residual : {OptionalTensor(), OptionalTensor(r)}) {
          const Tensor expected = reference(x.to(kDouble), w, b, activation, residual);
          EXPECT_LT(largest_difference(int8_linear(x, quantized, b, {}, activation, residual), expected),
                    tolerance(type))
              << type << " " << IntList(shape) << " " << activation;
        }
    }
}

TEST_P(Int8, an_input_row_that_is_not_finite_gives_nan_and_leaves_the_others_alone) {
  const Quantized quantized = quantize(randn({20, 70}));
  const Tensor packed = call<Tensor>("_int8_pack", std::get<0>(quantized)), x = randn({40, 70});
  const Tensor before = int8_linear(x, quantized, {}, packed);
  for (const double bad : {std::nan(""), -double(std::numeric_limits<float>::infinity())}) {
    const Tensor y = x.clone();
    y.narrow(0, 3, 1).narrow(1, 69, 1).fill_(bad);
    const Tensor after = int8_linear(y, quantized, {}, packed);
    EXPECT_TRUE(all_of(after.narrow(0, 3, 1).isnan()));
    EXPECT_TRUE(equal(part(after, 0, 0, 3), part(before, 0, 0, 3)));
    EXPECT_TRUE(equal(part(after, 0, 4, 40), part(before, 0, 4, 40)));
  }
  // Rows of zeros, and of the smallest numbers, which have no inverse.
  const Tensor b = randn({20});
  for (const double tiny : {0.0, 1e-42})
    EXPECT_LT(largest_difference(int8_linear(full({3, 70}, tiny, kFloat), quantized, b, packed),
                                 b.unsqueeze(0).expand({3, 20})),
              1e-30);
}

TEST_P(Int8, strides_and_leading_dimensions_do_not_matter_and_out_may_be_the_residual) {
  const Tensor x = randn({3, 40, 5}).transpose(1, 2);
  const Quantized quantized = quantize(randn({24, 40}));
  const Tensor packed = call<Tensor>("_int8_pack", std::get<0>(quantized));
  for (const OptionalTensor& form : {OptionalTensor(packed), OptionalTensor()}) {
    const Tensor expected = int8_linear(x.contiguous(), quantized, {}, form);
    EXPECT_EQ(expected.sizes(), IntList({3, 5, 24}));
    EXPECT_TRUE(equal(int8_linear(x, quantized, {}, form), expected));
    EXPECT_TRUE(equal(int8_linear(x[0].t().contiguous().t(), quantized, {}, form), expected[0]));
    const Tensor r = randn({3, 5, 24}), out = r.clone(),
                 strided = empty({24, 3, 5}, kFloat).permute({1, 2, 0});
    const Tensor sum = int8_linear(x, quantized, {}, form, "relu", r);
    call<void>("_int8_linear_into", x, std::get<0>(quantized), std::get<1>(quantized), OptionalTensor(), form,
               "relu", OptionalTensor(out), out);
    EXPECT_TRUE(equal(out, sum));
    call<void>("_int8_linear_into", x, std::get<0>(quantized), std::get<1>(quantized), OptionalTensor(), form,
               "relu", OptionalTensor(r), strided);
    EXPECT_TRUE(equal(strided.contiguous(), sum));
  }
  EXPECT_EQ(int8_linear(empty({0, 40}, kFloat), quantized, {}, packed).sizes(), IntList({0, 24}));
}

TEST_P(Int8, the_result_may_have_another_type_than_the_input_and_the_bias_is_in_float32) {
  const Quantized w = quantize(randn({40, 100}));
  const Tensor packed = call<Tensor>("_int8_pack", std::get<0>(w)), bias = randn({40});
  const auto into = [&](const Tensor& x, const OptionalTensor& residual, ScalarType type) {
    const Tensor out = empty({30, 40}, type);
    call<void>("_int8_linear_into", x, std::get<0>(w), std::get<1>(w), OptionalTensor(bias),
               OptionalTensor(packed), "gelu", residual, out);
    return out;
  };
  for (const ScalarType given : {kFloat, kBFloat16, kHalf}) {
    const Tensor x = randn({30, 100}, given), exact = into(x, {}, kFloat);
    EXPECT_TRUE(equal(exact, int8_linear(x.to(kFloat), w, bias, packed, "gelu")));
    for (const ScalarType wanted : {kBFloat16, kHalf}) {
      SCOPED_TRACE(text(given, " to ", wanted));
      EXPECT_TRUE(equal(into(x, {}, wanted), exact.to(wanted)));
      const Tensor residual = randn({30, 40}, wanted);
      EXPECT_TRUE(equal(into(x, residual, wanted), (exact + residual.to(kFloat)).to(wanted)));
    }
  }
}

TEST_P(Int8, says_whether_bfloat16_is_multiplied_as_it_is) {
  EXPECT_EQ(call<bool>("_multiplies_bfloat16"), cpu::multiplies_bfloat16());
  EXPECT_TRUE(GetParam() == "avx512" || GetParam() == "amx" || !cpu::multiplies_bfloat16());
}

TEST_P(Int8, errors_name_the_argument_and_both_shapes) {
  const Quantized w = quantize(randn({8, 16}));
  const Tensor x = randn({4, 16});
  const auto refuses = [](const std::function<void()>& call, const char* words) {
    expect_words(any_error(call), {words});
  };
  refuses([&] { quantize(randn({8})); }, "weight must be [outputs, inputs], given [8]");
  refuses([&] { call<Tensor>("_int8_pack", randn({8, 16})); }, "weight must be int8 [outputs, inputs]");
  refuses(
      [&] {
        int8_linear(randn({4, 15}), w, {}, {});
      },
      "input must be [..., 16] for weight [8, 16], given [4, 15]");
  refuses([&] { int8_linear(x.to(kDouble), w, {}, {}); },
          "input must be float32, bfloat16 or float16, given Double");
  refuses([&] { int8_linear(x, {std::get<0>(w), randn({9})}, {}, {}); }, "scale must be float32 [8]");
  refuses([&] { int8_linear(x, w, randn({9}), {}); }, "bias must be [8], given [9]");
  refuses([&] { int8_linear(x, w, {}, zeros({9}, kChar)); },
          "packed must be _int8_pack(weight), given Char [9]");
  refuses([&] { int8_linear(x, w, {}, {}, "none", randn({4, 9})); }, "residual must be [4, 8], given [4, 9]");
  refuses([&] { int8_linear(x, w, {}, {}, "swish"); }, "given \"swish\"");
  const auto into = [&](const Tensor& bias, bool packs, const OptionalTensor& residual, const Tensor& out) {
    return [=] {
      const OptionalTensor packed =
          packs ? OptionalTensor(call<Tensor>("_int8_pack", std::get<0>(w))) : OptionalTensor();
      call<void>("_int8_linear_into", x, std::get<0>(w), std::get<1>(w), OptionalTensor(bias), packed, "none",
                 residual, out);
    };
  };
  const Tensor out = empty({4, 8}, kBFloat16), bias = zeros({8}, kFloat);
  refuses(into(bias.to(kHalf), true, {}, out), "bias must have the dtype of out, BFloat16, given Half");
  refuses(into(bias, true, zeros({4, 8}, kFloat), out), "residual must have the dtype of out, BFloat16");
  refuses(into(bias, true, {}, empty({4, 8}, kDouble)), "out must be float32, bfloat16 or float16");
  refuses(into(bias, true, {}, empty({4, 9}, kFloat)), "out must be [4, 8], given [4, 9]");
  refuses(into(bias, false, {}, out), "out must have the dtype of input, Float, given BFloat16");
}

FOR_EACH_INSTRUCTION_SET(Int8);

}  // namespace
