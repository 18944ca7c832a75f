// The Tensor of native/torch: references, copies, arithmetic, selection and reductions, against the host. Its
// views have their own file.
#include <cmath>
#include <limits>

#include "support.h"

namespace longformer::test {
namespace {

constexpr ScalarType floating[] = {kFloat, kDouble, kBFloat16, kHalf};

// --- references and copies

TEST(Tensors, hold_references) {
  Tensor t = ones({2}, kFloat);
  const Tensor copy = t;
  EXPECT_TRUE(copy.is_same(t));
  EXPECT_NE(copy.handle(), t.handle());  // each owns one of its own
  copy.fill_(3.0);
  EXPECT_EQ(values(t), Doubles({3, 3}));
  const Tensor moved = std::move(t);
  EXPECT_FALSE(t.defined());  // NOLINT: what is left behind
  EXPECT_EQ(values(moved), Doubles({3, 3}));
  t = moved;
  t = *&t;
  EXPECT_EQ(values(t), Doubles({3, 3}));
  // A borrowed one leaves its handle alone, and a copy of it lives on.
  Tensor kept;
  {
    const Tensor owner = full({3}, 4.0, kFloat);
    const Tensor borrowed = Tensor::borrow(owner.handle());
    EXPECT_EQ(borrowed.handle(), owner.handle());
    kept = borrowed;
  }
  EXPECT_EQ(values(kept), Doubles({4, 4, 4}));
  Tensor given_away = Tensor::borrow(kept.handle());
  const Tensor taken = Tensor::own(given_away.release());
  EXPECT_NE(taken.handle(), kept.handle());
  EXPECT_EQ(Tensor().release(), nullptr);
  EXPECT_FALSE(Tensor::own(nullptr).defined());
}

TEST(Tensors, tell_what_they_are) {
  const Tensor t = zeros({2, 3, 4}, TensorOptions(kHalf));
  EXPECT_EQ(t.dim(), 3);
  EXPECT_EQ(t.numel(), 24);
  EXPECT_EQ(t.sizes(), IntList({2, 3, 4}));
  EXPECT_EQ(t.strides(), IntList({12, 4, 1}));
  EXPECT_EQ(t.size(-1), 4);
  EXPECT_EQ(t.stride(0), 12);
  EXPECT_EQ(t.nbytes(), 48);
  EXPECT_TRUE(t.is_cpu() && t.is_contiguous() && t.is_strided() && t.is_floating_point());
  EXPECT_EQ(t[1].storage_offset(), 12);
  EXPECT_FALSE(t.transpose(0, 1).is_contiguous());
  EXPECT_EQ(text(t.scalar_type(), " ", t.sizes(), " ", t.device()), "Half [2, 3, 4] cpu");
  EXPECT_EQ(text(kBool, kByte, kInt, kLong, kFloat, kDouble, kBFloat16),
            "BoolByteIntLongFloatDoubleBFloat16");
}

TEST(Tensors, are_copied_and_converted) {
  Rng rng(1);
  const Tensor t = random_tensor(rng, {4, 6}, kDouble).transpose(0, 1);
  EXPECT_TRUE(t.contiguous().is_contiguous());
  EXPECT_EQ(max_difference(t.contiguous(), t), 0.0);
  const Tensor dense = t.contiguous();
  EXPECT_TRUE(dense.contiguous().is_same(dense)) << "itself where it is";
  EXPECT_TRUE(dense.to(kDouble).is_same(dense));
  const Tensor clone = dense.clone();
  clone.zero_();
  EXPECT_GT(max_magnitude(dense), 0.0);
  EXPECT_EQ(values(tensor_of({1.25, -2.75, 300.0}, {3}, kDouble).to(kInt)), Doubles({1, -2, 300}));
  EXPECT_EQ(values(tensor_of({0.0, -0.5}, {2}, kFloat).to(kBool)), Doubles({0, 1}));
  // 1 + 2^-9 is no bfloat16, and a half.
  EXPECT_EQ(values(tensor_of({1.0 + 0x1p-9}, {1}, kBFloat16)), Doubles({1.0}));
  EXPECT_EQ(values(tensor_of({1.0 + 0x1p-9}, {1}, kHalf)), Doubles({1.0 + 0x1p-9}));
  const Tensor into = zeros({2, 3}, kFloat);
  into.copy_(integer_tensor({1, 2, 3}, {3}));
  EXPECT_EQ(values(into), Doubles({1, 2, 3, 1, 2, 3}));
  EXPECT_EQ(empty_like(t).strides(), IntList({4, 1})) << "row-major, whatever the strides of t";
}

TEST(Tensors, are_made) {
  EXPECT_EQ(values(zeros({2}, kLong)), Doubles({0, 0}));
  EXPECT_EQ(values(ones({2}, kBool)), Doubles({1, 1}));
  EXPECT_EQ(values(full({2}, -2.5, kBFloat16)), Doubles({-2.5, -2.5}));
  EXPECT_EQ(integers(arange(2, 6)), std::vector<int64_t>({2, 3, 4, 5}));
  EXPECT_EQ(arange(0).sizes(), IntList({0}));
  const int64_t big = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(integers(from_values({big, -big})), std::vector<int64_t>({big, -big}));
  EXPECT_EQ(scalar(int64_t{3}).scalar_type(), kLong);
  EXPECT_EQ(scalar(0.5).scalar_type(), kDouble);
  EXPECT_EQ(scalar(0.5).dim(), 0);
  const Tensor meta = empty({3, 1000000000}, TensorOptions(kFloat, Device{DeviceType::meta, -1}));
  EXPECT_TRUE(meta.is_meta());
  EXPECT_EQ(meta.size(1), 1000000000);
}

// --- arithmetic

// Elementwise, where the second operand may be a row or a number.
Doubles each(const Tensor& a, const Tensor& b, const std::function<double(double, double)>& f) {
  Doubles x = values(a);
  const Doubles y = values(b);
  for (size_t i = 0; i < x.size(); ++i) x[i] = f(x[i], y[i % y.size()]);
  return x;
}

void expect_near(const Tensor& t, const Doubles& expected, ScalarType type, const char* what) {
  EXPECT_EQ(t.scalar_type(), type) << what;
  const double rounding = type == kDouble ? 1e-13 : type == kFloat ? 1e-6 : type == kHalf ? 2e-3 : 1.6e-2;
  const Doubles given = values(t);
  ASSERT_EQ(given.size(), expected.size()) << what;
  for (size_t i = 0; i < given.size(); ++i)
    ASSERT_NEAR(given[i], expected[i], rounding * std::max(1.0, std::abs(expected[i])))
        << what << " at " << i << " in " << type;
}

TEST(TensorArithmetic, equals_the_host_in_every_floating_dtype) {
  for (const ScalarType type : floating) {
    Rng rng(2);
    const Tensor a = random_tensor(rng, {5, 4}, type), b = random_tensor(rng, {5, 4}, type).abs().add(0.5);
    const Tensor row = b[0];
    for (const Tensor& other : {b, row}) {
      expect_near(a.add(other), each(a, other, std::plus<>()), type, "add");
      expect_near(a.sub(other), each(a, other, std::minus<>()), type, "sub");
      expect_near(a.mul(other), each(a, other, std::multiplies<>()), type, "mul");
      expect_near(a.div(other), each(a, other, std::divides<>()), type, "div");
      expect_near(a + other * 2.0, each(a, other, [](double x, double y) { return x + 2.0 * y; }), type,
                  "+ *");
      expect_near(a.clone().add_(other), each(a, other, std::plus<>()), type, "add_");
      expect_near(a.clone().sub_(other), each(a, other, std::minus<>()), type, "sub_");
      expect_near(a.clone().mul_(other), each(a, other, std::multiplies<>()), type, "mul_");
    }
    const auto by = [&](const std::function<double(double)>& f) {
      return each(a, a, [&](double x, double) { return f(x); });
    };
    expect_near(a.add(0.75), by([](double x) { return x + 0.75; }), type, "add a number");
    expect_near(a.mul(-1.5), by([](double x) { return x * -1.5; }), type, "mul by a number");
    expect_near(a.add(int64_t{2}), by([](double x) { return x + 2; }), type, "add an integer");
    expect_near(a.mul(int64_t{3}), by([](double x) { return x * 3; }), type, "mul by an integer");
    expect_near(a.clone().mul_(0.25), by([](double x) { return x * 0.25; }), type, "mul_ by a number");
    expect_near(a.clone().div_(4.0), by([](double x) { return x / 4; }), type, "div_ by a number");
    expect_near(a.neg(), by([](double x) { return -x; }), type, "neg");
    expect_near(a.abs(), by([](double x) { return std::abs(x); }), type, "abs");
    expect_near(a.exp(), by([](double x) { return std::exp(x); }), type, "exp");
    expect_near(a.clone().exp_(), by([](double x) { return std::exp(x); }), type, "exp_");
    expect_near(a.tanh(), by([](double x) { return std::tanh(x); }), type, "tanh");
    expect_near(a.relu(), by([](double x) { return std::max(x, 0.0); }), type, "relu");
    expect_near(a.sigmoid(), by([](double x) { return 1.0 / (1.0 + std::exp(-x)); }), type, "sigmoid");
    expect_near(a.erf(), by([](double x) { return std::erf(x); }), type, "erf");
    // Without dimensions the dtype stays too.
    expect_near(a[0][0].mul(0.5), {values(a)[0] * 0.5}, type, "a number of that dtype");
    expect_near(a[0][0].add(0.5), {values(a)[0] + 0.5}, type, "a number of that dtype");
  }
}

TEST(TensorArithmetic, of_integers_keeps_all_64_bits) {
  const int64_t big = 0x7FFFFFFFFFFFFFFFll, odd = 0x123456789ABCDEFll;
  const Tensor t = from_values({big, odd, -odd, 0});
  const auto wrapped = [](uint64_t x) { return static_cast<int64_t>(x); };
  EXPECT_EQ(integers(t.add(int64_t{1})),
            std::vector<int64_t>({wrapped(uint64_t(big) + 1), odd + 1, -odd + 1, 1}));
  EXPECT_EQ(integers(t.mul(wrapped(0x9E3779B97F4A7C15ull))),
            std::vector<int64_t>({wrapped(uint64_t(big) * 0x9E3779B97F4A7C15ull),
                                  wrapped(uint64_t(odd) * 0x9E3779B97F4A7C15ull),
                                  wrapped(uint64_t(-odd) * 0x9E3779B97F4A7C15ull), 0}));
  EXPECT_EQ(integers(t + from_values({1, odd, odd, -5})),
            std::vector<int64_t>({wrapped(uint64_t(big) + 1), 2 * odd, 0, -5}));
  EXPECT_EQ(integers(t - from_values({1, odd, odd, -5})), std::vector<int64_t>({big - 1, 0, -2 * odd, 5}));
  EXPECT_EQ(integers(t.bitwise_and(0xFF)), std::vector<int64_t>({0xFF, 0xEF, (-odd) & 0xFF, 0}));
  EXPECT_EQ(integers(t.bitwise_right_shift(8)), std::vector<int64_t>({big >> 8, odd >> 8, (-odd) >> 8, 0}));
  const Tensor bits = t.clone();
  bits.bitwise_xor_(from_values({-1, 0, 0, 3}));
  EXPECT_EQ(integers(bits), std::vector<int64_t>({~big, odd, -odd, 3}));
  bits.bitwise_and_(0xF0);
  EXPECT_EQ(integers(bits), std::vector<int64_t>({(~big) & 0xF0, odd & 0xF0, (-odd) & 0xF0, 0}));
  const Tensor product = t.clone();
  product.mul_(int64_t{-1});
  EXPECT_EQ(integers(product), std::vector<int64_t>({-big, -odd, odd, 0}));
  EXPECT_EQ(integers(from_values({7, -7, 12}).remainder(5)), std::vector<int64_t>({2, 3, 2}));
  EXPECT_EQ(integers(from_values({7, -7, 0}).clamp_min(1)), std::vector<int64_t>({7, 1, 1}));
  EXPECT_TRUE(from_values({1}).mul(0.5).is_floating_point());
  EXPECT_EQ(values(from_values({3}).mul(0.5)), Doubles({1.5}));
  EXPECT_EQ(from_values({1}).mul(2.0).scalar_type(), kLong);
}

TEST(TensorArithmetic, broadcasts) {
  const Tensor column = tensor_of({1, 2}, {2, 1}, kFloat), row = tensor_of({10, 20, 30}, {3}, kFloat);
  EXPECT_EQ(values(column + row), Doubles({11, 21, 31, 12, 22, 32}));
  EXPECT_EQ(values(column - row), Doubles({-9, -19, -29, -8, -18, -28}));
  EXPECT_EQ(integers(from_values({1, 2}).unsqueeze(1) + from_values({10, 20, 30})),
            std::vector<int64_t>({11, 21, 31, 12, 22, 32}));
  EXPECT_FALSE(any_error([&] { column + tensor_of({1, 2, 3, 4, 5, 6}, {3, 2}, kFloat); }).empty());
}

TEST(TensorComparison, gives_bools) {
  const double nan = std::nan("");
  const Tensor t = tensor_of({-1, 0, 2, nan}, {4}, kFloat);
  const auto expect = [](const Tensor& given, const Doubles& expected) {
    EXPECT_EQ(given.scalar_type(), kBool);
    EXPECT_EQ(values(given), expected);
  };
  expect(t.eq(0.0), {0, 1, 0, 0});
  expect(t.ne(0.0), {1, 0, 1, 1});
  expect(t.lt(0.0), {1, 0, 0, 0});
  expect(t.le(0.0), {1, 1, 0, 0});
  expect(t.gt(0.0), {0, 0, 1, 0});
  expect(t.ge(0.0), {0, 1, 1, 0});
  expect(t.eq(t), {1, 1, 1, 0});
  expect(t.isnan(), {0, 0, 0, 1});
  expect(from_values({1, 2, 3}).lt(2.5), {1, 1, 0});
  expect(from_values({1, 2, 3}).ge(2), {0, 1, 1});
  const Tensor a = integer_tensor({0, 0, 1, 1}, {4}).to(kBool),
               b = integer_tensor({0, 1, 0, 1}, {4}).to(kBool);
  expect(a & b, {0, 0, 0, 1});
  expect(a | b, {0, 1, 1, 1});
  expect(a.logical_not(), {1, 1, 0, 0});
  expect(a.clone().logical_and_(b), {0, 0, 0, 1});
  expect(a.clone().logical_or_(b), {0, 1, 1, 1});
  expect(a.view({2, 2}).any(1), {0, 1});
  expect(a.view({2, 2}).any(-1), {0, 1});
}

TEST(TensorSelection, equals_the_host) {
  for (const ScalarType type : {kFloat, kDouble, kBFloat16, kHalf, kLong}) {
    SCOPED_TRACE(text(type));
    const Tensor t = arange(6).view({3, 2}).to(type);
    const Tensor mask = integer_tensor({1, 0, 0, 1, 0, 0}, {3, 2}).to(kBool);
    EXPECT_EQ(values(t.masked_fill(mask, -9)), Doubles({-9, 1, 2, -9, 4, 5}));
    EXPECT_EQ(values(t), Doubles({0, 1, 2, 3, 4, 5}));
    EXPECT_EQ(values(t.clone().masked_fill_(mask.select(1, 0).unsqueeze(1), 7)), Doubles({7, 7, 2, 3, 4, 5}));
    EXPECT_EQ(values(t.index_select(0, from_values({2, 0, 2}))), Doubles({4, 5, 0, 1, 4, 5}));
    EXPECT_EQ(values(t.index_select(1, from_values({1}))), Doubles({1, 3, 5}));
    EXPECT_EQ(values(t.gather(1, integer_tensor({1, 0, 1}, {3, 1}))), Doubles({1, 2, 5}));
    EXPECT_EQ(values(t.clone().index_copy_(0, from_values({2, 0}), t.narrow(0, 0, 2))),
              Doubles({2, 3, 2, 3, 0, 1}));
    EXPECT_EQ(values(t.clone().index_fill_(0, from_values({1}), -1)), Doubles({0, 1, -1, -1, 4, 5}));
    // A row that comes twice adds up.
    EXPECT_EQ(values(t.clone().index_add_rows_(from_values({1, 1, 0}), t)), Doubles({4, 6, 4, 7, 4, 5}));
    EXPECT_EQ(values(where(mask, t, t.neg())), Doubles({0, -1, -2, 3, -4, -5}));
    EXPECT_EQ(values(cat({t, t.narrow(0, 0, 1)})), Doubles({0, 1, 2, 3, 4, 5, 0, 1}));
    EXPECT_EQ(values(cat({t, t}, -1)), Doubles({0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 4, 5}));
    EXPECT_EQ(values(stack({t[0], t[1]}, 1)), Doubles({0, 2, 1, 3}));
    EXPECT_EQ(values(pad(t, {1, 0, 0, 1}, 8)), Doubles({8, 0, 1, 8, 2, 3, 8, 4, 5, 8, 8, 8}));
    EXPECT_EQ(values(embedding(t, integer_tensor({1, 0, 1, 2}, {2, 2}))), Doubles({2, 3, 0, 1, 2, 3, 4, 5}));
  }
  EXPECT_EQ(values(tensor_of({1, 2}, {2}, kFloat)
                       .masked_fill(ones({2}, kBool), -std::numeric_limits<double>::infinity())),
            Doubles(2, -std::numeric_limits<double>::infinity()));
  EXPECT_FALSE(any_error([&] { arange(6).index_select(0, from_values({6})); }).empty());
}

TEST(TensorReductions, equal_the_host) {
  for (const ScalarType type : floating) {
    Rng rng(4);
    const Tensor t = random_tensor(rng, {3, 4}, type);
    const Matrix m = matrix_of(t);
    Doubles rows(3), columns(4), soft, logs;
    double all = 0.0, highest = -1e9;
    for (int64_t r = 0; r < 3; ++r) {
      double sum = 0.0;
      for (int64_t c = 0; c < 4; ++c) {
        rows[r] += m.at(r, c);
        columns[c] += m.at(r, c);
        all += m.at(r, c);
        highest = std::max(highest, m.at(r, c));
        sum += std::exp(m.at(r, c));
      }
      for (int64_t c = 0; c < 4; ++c) soft.push_back(std::exp(m.at(r, c)) / sum);
      logs.push_back(std::log(sum));
    }
    expect_near(t.sum(), {all}, type, "sum");
    expect_near(t.sum(1), rows, type, "sum of rows");
    expect_near(t.sum(0), columns, type, "sum of columns");
    EXPECT_EQ(t.sum(-1, true).sizes(), IntList({3, 1}));
    expect_near(t.sum({0, 1}), {all}, type, "sum of both");
    expect_near(t.max(), {highest}, type, "max");
    expect_near(t.softmax(-1), soft, type, "softmax");
    expect_near(t.logsumexp(1), logs, type, "logsumexp");
  }
  EXPECT_EQ(values(ones({5}, kBool).sum()), Doubles({5}));
  EXPECT_EQ(integers(arange(5).max()), std::vector<int64_t>({4}));
}

TEST(TensorProducts, equal_the_host) {
  Rng rng(5);
  const Tensor a = random_tensor(rng, {2, 3, 4}, kDouble), b = random_tensor(rng, {4, 5}, kDouble),
               bias = random_tensor(rng, {5}, kDouble);
  expect_near(matmul(a, b), product(matrix_of(a), matrix_of(b)).data, kDouble, "a stack by a matrix");
  const Tensor c = random_tensor(rng, {2, 4, 3}, kDouble);
  for (int64_t i = 0; i < 2; ++i)
    expect_near(matmul(a, c)[i], product(matrix_of(a[i]), matrix_of(c[i])).data, kDouble,
                "a stack by a stack");
  Matrix expected = product(matrix_of(a), matrix_of(b));
  for (size_t e = 0; e < expected.data.size(); ++e) expected.data[e] += values(bias)[e % 5];
  expect_near(linear(a, b.t(), bias), expected.data, kDouble, "linear");
  expect_near(linear(a, b.t(), Tensor()), product(matrix_of(a), matrix_of(b)).data, kDouble,
              "linear without bias");
  const Tensor weight = random_tensor(rng, {4}, kDouble), shift = random_tensor(rng, {4}, kDouble);
  const Tensor normed = layer_norm(a, weight, shift, 1e-5);
  const Matrix rows = matrix_of(a);
  Doubles normal;
  for (int64_t r = 0; r < rows.rows; ++r) {
    double mean = 0.0, variance = 0.0;
    for (int64_t i = 0; i < 4; ++i) mean += rows.at(r, i) / 4;
    for (int64_t i = 0; i < 4; ++i) variance += std::pow(rows.at(r, i) - mean, 2) / 4;
    for (int64_t i = 0; i < 4; ++i)
      normal.push_back((rows.at(r, i) - mean) / std::sqrt(variance + 1e-5) * values(weight)[i] +
                       values(shift)[i]);
  }
  expect_near(normed, normal, kDouble, "layer_norm");
}

TEST(Tensors, say_in_libtorchs_words_what_cannot_be) {
  const Tensor a = ones({2, 3}, kFloat);
  expect_words(any_error([&] { matmul(a, a); }), {"mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)"});
  expect_words(any_error([&] { a.copy_(ones({5}, kFloat)); }), {"5", "3"});
  EXPECT_NE(any_error([&] { cat({}); }), "");
}

}  // namespace
}  // namespace longformer::test
