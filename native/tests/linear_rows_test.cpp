// linear on so many rows that they are multiplied with a packed weight: given packed or not, into given
// memory or not, at sizes around those of tiles, panels and pieces.
#include <cmath>

#include "support.h"

namespace longformer::test {
namespace {

// Of the largest result: two roundings to the type at most, behind sums in float32.
constexpr double allowed(ScalarType type) {
  return type == kFloat ? 1e-6 : type == kHalf ? 1e-3 : 8e-3;
}

Tensor expected_of(const Tensor& x, const Tensor& w, const OptionalTensor& bias, bool gelu,
                   const OptionalTensor& residual) {
  Matrix y = product(matrix_of(x), transposed(matrix_of(w)));
  const Doubles b = given(bias) ? values(*bias) : Doubles(static_cast<size_t>(y.columns));
  const Doubles r = given(residual) ? values(*residual) : Doubles(y.data.size());
  for (size_t e = 0; e < y.data.size(); ++e) {
    const double sum = y.data[e] + b[e % static_cast<size_t>(y.columns)];
    y.data[e] = (gelu ? 0.5 * sum * (1.0 + std::erf(sum / std::sqrt(2.0))) : sum) + r[e];
  }
  return tensor_of(y, {y.rows, y.columns});
}

void expect_rows(const Tensor& given_y, const Tensor& expected, ScalarType type) {
  ASSERT_EQ(given_y.scalar_type(), type);
  EXPECT_LE(max_difference(given_y, expected), allowed(type) * (1.0 + max_magnitude(expected)));
}

TEST(LinearRows, equals_the_definition_packed_and_plain) {
  Rng rng(1);
  const std::vector<std::vector<int64_t>> shapes = {{17, 16, 32},   {64, 40, 33},   {85, 193, 31},
                                                    {170, 384, 64}, {1100, 24, 96}, {300, 1, 1}};
  for (const ScalarType type : {kFloat, kBFloat16, kHalf})
    for (const auto& shape : shapes)
      for (const bool gelu : {false, true}) {
        const int64_t rows = shape[0], inputs = shape[1], outputs = shape[2];
        SCOPED_TRACE(text(type, " ", IntList(shape), gelu ? " gelu" : ""));
        const Tensor x = random_tensor(rng, {rows, inputs}, type),
                     w = random_tensor(rng, {outputs, inputs}, type);
        const OptionalTensor b = random_tensor(rng, {outputs}, type),
                             r = random_tensor(rng, {rows, outputs}, type);
        const Tensor expected = expected_of(x, w, b, gelu, r), packed = call<Tensor>("linear_pack", w);
        ASSERT_GT(packed.numel(), 0);
        const char* activation = gelu ? "gelu" : "none";
        expect_rows(call<Tensor>("linear", x, w, b, OptionalTensor(packed), activation, r), expected, type);
        expect_rows(call<Tensor>("linear", x, w, b, OptionalTensor(), activation, r), expected, type);
        const Tensor out = r->clone();  // the residual is what it writes to
        call<void>("_linear_into", x, w, b, OptionalTensor(packed), activation, OptionalTensor(out), out);
        expect_rows(out, expected, type);
        expect_rows(call<Tensor>("linear", x, w, OptionalTensor(), OptionalTensor(packed), activation,
                                 OptionalTensor()),
                    expected_of(x, w, std::nullopt, gelu, std::nullopt), type);
      }
}

TEST(LinearRows, writes_into_memory_with_strides_and_refuses_the_inputs_own) {
  Rng rng(2);
  const Tensor x = random_tensor(rng, {40, 32}, kFloat), w = random_tensor(rng, {32, 32}, kFloat),
               wide = zeros({40, 64}, kFloat);
  const Tensor part = wide.narrow(1, 0, 32);
  const OptionalTensor none;
  call<void>("_linear_into", x, w, none, none, "none", none, part);
  expect_rows(part.contiguous(), expected_of(x, w, std::nullopt, false, std::nullopt), kFloat);
  EXPECT_EQ(max_magnitude(wide.narrow(1, 32, 32)), 0.0);
  expect_words(value_error([&] { call<void>("_linear_into", x, w, none, none, "none", none, x); }),
               {"longformer::_linear_into: out must not share"});
  expect_words(value_error([&] {
                 call<void>("_linear_into", x, w, none, none, "none", none, zeros({40, 31}, kFloat));
               }),
               {"longformer::_linear_into: out must be [40, 32]", "[40, 31]"});
  expect_words(value_error([&] {
                 call<Tensor>("linear", x, w, none, OptionalTensor(zeros({5}, kFloat)), "none", none);
               }),
               {"packed must be linear_pack(weight)", "[5]"});
}

TEST(LinearRows, float64_is_not_packed) {
  EXPECT_EQ(call<Tensor>("linear_pack", zeros({4, 3}, kDouble)).numel(), 0);
  EXPECT_EQ(call<Tensor>("linear_pack", zeros({0, 3}, kFloat)).numel(), 0);
  expect_words(value_error([&] { call<Tensor>("linear_pack", zeros({4}, kFloat)); }),
               {"linear_pack: weight must be [outputs, inputs]"});
}

}  // namespace
}  // namespace longformer::test
