// add_layer_norm on the CPU against float64, for every instruction set.
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "kernels_isa.h"

using namespace longformer;
using namespace longformer::test;

namespace {

Tensor add_layer_norm(const Tensor& x, const OptionalTensor& r, const Tensor& w, const Tensor& b,
                      double eps) {
  return call<Tensor>("add_layer_norm", x, r, w, b, eps);
}

using LayerNorm = OfInstructionSet;

TEST_P(LayerNorm, equals_float64_for_every_dtype_and_width) {
  reseed(5);
  for (ScalarType type : {kFloat, kDouble, kBFloat16, kHalf}) {
    for (int64_t columns : {1, 3, 16, 31, 768, 1000}) {
      const Tensor x = (randn({70, columns}, kDouble) * 3.0).add(1.0).to(type),
                   r = randn({70, columns}, type), w = randn({columns}, type), b = randn({columns}, type);
      for (const OptionalTensor& residual : {OptionalTensor(), OptionalTensor(r)}) {
        Tensor sum = x.to(kDouble);
        if (residual) sum = sum + residual->to(kDouble);
        const Tensor expected = layer_norm(sum, w.to(kDouble), b.to(kDouble), 1e-5);
        const double limit = type == kDouble ? 1e-12 : type == kFloat ? 4e-6 : type == kHalf ? 1e-2 : 8e-2;
        const Tensor y = add_layer_norm(x, residual, w, b, 1e-5);
        EXPECT_EQ(y.scalar_type(), type);
        EXPECT_LT(largest_difference(y, expected), limit) << name_of(type) << " " << columns;
      }
    }
  }
}

TEST_P(LayerNorm, a_large_mean_does_not_cancel) {
  const Tensor x = randn({8, 768}).add(1000.0), w = ones({768}, kFloat), b = zeros({768}, kFloat);
  const Tensor expected = layer_norm(x.to(kDouble), w.to(kDouble), b.to(kDouble), 1e-5);
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
  const auto into = [](const Tensor& input, const Tensor& residual, const Tensor& weight, const Tensor& bias,
                       const Tensor& out) {
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
