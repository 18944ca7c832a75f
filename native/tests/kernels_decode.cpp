// The kernels of token-by-token decoding against float64, for every instruction set: linear on a few rows,
// and decode_attention.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "kernels_isa.h"

using namespace longformer;
using namespace longformer::test;

namespace {

Tensor linear(const Tensor& x, const Tensor& w, const OptionalTensor& b, const std::string& activation,
              const OptionalTensor& residual) {
  return call<Tensor>("linear", x, w, b, OptionalTensor(), activation, residual);
}

Tensor attend(const Tensor& q, const TensorList& k, const TensorList& v, const std::vector<int64_t>& rows,
              const TensorList& mask = {}, std::optional<double> scale = {}) {
  return call<Tensor>("decode_attention", q, k, v, rows, mask, scale);
}

Tensor exact_linear(const Tensor& x, const Tensor& w, const Tensor& b, const std::string& activation,
                    const Tensor& r) {
  Tensor y = matmul(x.to(kDouble), w.to(kDouble).t()) + b.to(kDouble);
  y = activated(y, activation);
  return y + r.to(kDouble);
}

// The definition: softmax over all keys of one document, hidden ones at the lowest number.
Tensor exact_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask, double scale) {
  Tensor s = scores_by_head(q.to(kDouble), k.to(kDouble)) * scale;
  if (mask.defined()) s = s.masked_fill(mask.eq(0), std::numeric_limits<double>::lowest());
  return mix_by_head(s.softmax(-1), v.to(kDouble));
}

using Decode = OfInstructionSet;

TEST_P(Decode, linear_on_a_few_rows_equals_float64_for_every_option) {
  for (ScalarType type : {kFloat, kBFloat16, kHalf}) {
    const double limit = type == kFloat ? 1e-5 : type == kHalf ? 1e-2 : 6e-2;
    for (const std::vector<int64_t>& shape : {std::vector<int64_t>{33, 5}, {64, 160}, {7, 1}, {768, 777}}) {
      for (int64_t rows : {1, 2, 3, 4, 5, 7, 8, 11, 16}) {
        const Tensor x = randn({rows, shape[0]}, type),
                     w = (randn({shape[1], shape[0]}) * (1 / std::sqrt(double(shape[0])))).to(type),
                     b = randn({shape[1]}, type), r = randn({rows, shape[1]}, type);
        for (const std::string activation : {"none", "gelu", "gelu_tanh", "relu", "tanh", "silu"}) {
          const Tensor y = linear(x, w, b, activation, r);
          EXPECT_EQ(y.scalar_type(), type);
          EXPECT_LT(largest_difference(y, exact_linear(x, w, b, activation, r)), limit)
              << activation << " " << name_of(type) << " " << rows << " rows of " << IntList(shape);
        }
      }
    }
  }
}

TEST_P(Decode, activations_hold_far_out_and_let_nan_through) {
  const float inf = std::numeric_limits<float>::infinity();
  const Tensor x = tensor_of({-inf, -1e30f, -200.0f, -9.0f, -1e-20f, 0.0f, 1e-20f, 9.0f, 200.0f, 1e30f,
                              std::numeric_limits<float>::quiet_NaN()},
                             {11, 1}, kFloat);
  const Tensor one = ones({1, 1}, kFloat);
  for (const std::string activation : {"gelu", "gelu_tanh", "relu", "tanh"}) {
    const Tensor y = linear(x, one, {}, activation, {}),
                 expected = exact_linear(x, one, zeros({1}, kFloat), activation, zeros({1}, kFloat));
    EXPECT_TRUE(std::isnan(item(y[10]))) << activation;
    // Both limits of gelu at minus infinity are 0 times infinity in libtorch as well.
    const Doubles actual = values(y), wanted = values(expected);
    for (size_t i = 1; i < 10; ++i)
      EXPECT_NEAR(actual[i], wanted[i], 3e-6 + 1e-6 * std::abs(wanted[i]))
          << activation << " of " << values(x)[i];
  }
}

TEST_P(Decode, a_row_of_a_linear_layer_does_not_depend_on_the_others) {
  const Tensor x = randn({16, 200}), w = randn({100, 200}), b = randn({100});
  const Tensor all = linear(x, w, b, "gelu", {});
  for (int64_t i = 0; i < 16; ++i)
    EXPECT_TRUE(equal(linear(part(x, 0, i, i + 1), w, b, "gelu", {})[0], all[i])) << i;
}

// So many inputs are multiplied in several steps, which are shorter the more rows there are.
TEST_P(Decode, a_row_of_many_inputs_depends_neither_on_the_others_nor_on_the_threads) {
  for (ScalarType type : {kFloat, kBFloat16}) {
    for (int64_t inputs : {1100, 3072, 2311}) {
      const Tensor x = randn({16, inputs}, type), b = randn({150}, type), r = randn({16, 150}, type),
                   w = (randn({150, inputs}) * (1 / std::sqrt(double(inputs)))).to(type);
      const Tensor all = linear(x, w, b, "gelu", r);
      EXPECT_LT(largest_difference(all, exact_linear(x, w, b, "gelu", r)), type == kFloat ? 1e-5 : 6e-2);
      for (int64_t i = 0; i < 16; ++i)
        EXPECT_TRUE(equal(linear(part(x, 0, i, i + 1), w, b, "gelu", part(r, 0, i, i + 1))[0], all[i])) << i;
      const Threads one(1);
      EXPECT_TRUE(equal(linear(part(x, 0, 0, 4), w, b, "gelu", part(r, 0, 0, 4)), part(all, 0, 0, 4)));
    }
  }
}

TEST_P(Decode, linear_reads_slices_of_weights_and_strided_rows) {
  const Tensor x = randn({48, 3}).t(), all = randn({40, 96}), w = part(all, 1, 20, 68);
  EXPECT_LT(largest_difference(linear(x, w, {}, "none", {}), matmul(x, w.t())), 1e-4);
  const Tensor transposed = randn({48, 40}).t();
  EXPECT_LT(largest_difference(linear(x, transposed, {}, "none", {}), matmul(x, transposed.t())), 1e-4);
}

TEST_P(Decode, attention_equals_float64_for_every_dtype_and_shape) {
  for (ScalarType type : {kFloat, kDouble, kBFloat16, kHalf}) {
    const double limit = type == kDouble ? 1e-12 : type == kFloat ? 3e-6 : type == kHalf ? 4e-3 : 3e-2;
    for (const std::vector<int64_t>& shape :
         {std::vector<int64_t>{2, 8}, {3, 16}, {12, 64}, {1, 33}, {4, 80}}) {
      for (int64_t rows : {1, 2, 3, 4, 5, 9}) {
        for (int64_t keys : {1, 15, 16, 17, 300, 1000}) {
          const Tensor q = randn({rows, shape[0], shape[1]}, type) * 2,
                       k = randn({keys, shape[0], shape[1]}, type),
                       v = randn({keys, shape[0], shape[1]}, type);
          const double scale = 1 / std::sqrt(double(shape[1]));
          const Tensor y = attend(q, {k}, {v}, {rows});
          EXPECT_EQ(y.scalar_type(), type);
          EXPECT_LT(largest_difference(y, exact_attention(q, k, v, {}, scale)), limit)
              << name_of(type) << " " << rows << " rows, " << keys << " keys, heads and size "
              << IntList(shape);
        }
      }
    }
  }
}

TEST_P(Decode, attention_of_several_documents_is_that_of_each_alone) {
  TensorList k, v, mask;
  const std::vector<int64_t> rows = {4, 0, 1, 3};
  for (int64_t keys : {700, 5, 20, 33}) {
    k.push_back(randn({keys, 3, 16}));
    v.push_back(randn({keys, 3, 16}));
  }
  mask = {random_mask({4, 700}, 0.5).to(kByte), empty({0}, kByte), random_mask({20}, 0.7), empty({0}, kByte)};
  const Tensor q = randn({8, 3, 16}), all = attend(q, k, v, rows, mask, 0.3);
  for (int64_t d = 0, first = 0; d < 4; first += rows[size_t(d)], ++d) {
    if (rows[size_t(d)] == 0) continue;
    const size_t i = size_t(d);
    const Tensor of_one = q.narrow(0, first, rows[i]), m = mask[i].numel() == 0 ? Tensor() : mask[i];
    EXPECT_TRUE(
        equal(all.narrow(0, first, rows[i]), attend(of_one, {k[i]}, {v[i]}, {rows[i]}, {mask[i]}, 0.3)));
    EXPECT_LT(largest_difference(all.narrow(0, first, rows[i]), exact_attention(of_one, k[i], v[i], m, 0.3)),
              2e-6);
  }
}

TEST_P(Decode, a_row_of_attention_depends_neither_on_the_others_nor_on_the_threads) {
  for (ScalarType type : {kFloat, kBFloat16}) {
    for (int64_t keys : {75, 300, 5000}) {
      const Tensor q = randn({7, 4, 64}, type), k = randn({keys, 4, 64}, type),
                   v = randn({keys, 4, 64}, type);
      const Tensor all = attend(q, {k}, {v}, {7});
      for (int64_t i = 0; i < 7; ++i)
        EXPECT_TRUE(equal(attend(part(q, 0, i, i + 1), {k}, {v}, {1})[0], all[i])) << i;
      const Threads one(1);
      EXPECT_TRUE(equal(attend(q, {k}, {v}, {7}), all));
    }
  }
}

TEST_P(Decode, a_query_that_may_see_nothing_gives_the_mean_and_hidden_keys_leave_no_trace) {
  const Tensor q = randn({2, 2, 16}), k = randn({40, 2, 16}), v = randn({40, 2, 16});
  Tensor mask = zeros({2, 40}, kByte);
  mask[1][39].fill_(1);
  const Tensor y = attend(q, {k}, {v}, {2}, {mask});
  EXPECT_LT(largest_difference(y[0], v.sum(0) * (1.0 / 40)), 1e-6);
  EXPECT_TRUE(equal(y[1], v[39]));
}

TEST_P(Decode, attention_reads_slices_and_large_scores) {
  const Tensor joined = randn({50, 2, 3, 16});
  const Tensor k = joined.select(1, 0) * 30.0, v = joined.select(1, 1);
  const Tensor q = randn({3, 3, 16}) * 30.0;
  EXPECT_LT(largest_difference(attend(q, {k}, {v}, {3}, {}, 1.0), exact_attention(q, k, v, {}, 1.0)), 2e-3);
  const Tensor by_head = randn({3, 50, 16}).transpose(0, 1);
  EXPECT_LT(largest_difference(attend(q, {by_head}, {v}, {3}), exact_attention(q, by_head, v, {}, 0.25)),
            1e-5);
}

FOR_EACH_INSTRUCTION_SET(Decode);

TEST(DecodeAttention, knows_shapes_without_data) {
  const TensorOptions meta(kFloat, {DeviceType::meta, -1});
  const Tensor q = empty({3, 2, 4}, meta), k = empty({9, 2, 4}, meta);
  EXPECT_EQ(attend(q, {k}, {k}, {3}).sizes(), q.sizes());
}

TEST(DecodeAttention, errors_name_the_argument_and_both_shapes) {
  const Tensor q = randn({3, 2, 4}), k = randn({9, 2, 4});
  const auto expect = [](const std::function<void()>& work, const std::string& part) {
    const std::string message = any_error(work);
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  expect([&] { attend(q[0], {k}, {k}, {3}); }, "query must be [R, H, D], given [2, 4]");
  expect([&] { attend(q, {k}, {k, k}, {3}); }, "as many as key, 1, given 2 and 1");
  expect([&] { attend(q, {k}, {k}, {2}); }, "rows must sum to the queries, 3, given 2");
  expect([&] { attend(q, {k, k}, {k, k}, {4, -1}); }, "given -1 for document 1");
  expect(
      [&] {
        attend(q, {randn({9, 2, 5})}, {k}, {3});
      },
      "key must be [L, 2, 4] with L > 0, given [9, 2, 5]");
  expect([&] { attend(q, {randn({0, 2, 4})}, {k}, {3}); }, "with L > 0, given [0, 2, 4]");
  expect(
      [&] {
        attend(q, {k}, {randn({8, 2, 4})}, {3});
      },
      "value must be like key, [9, 2, 4], given [8, 2, 4]");
  expect([&] { attend(q, {k.to(kDouble)}, {k}, {3}); }, "must be Float on cpu like query, given Double");
  expect([&] { attend(q, {k}, {k}, {3}, {ones({8}, kByte)}); }, "mask must be uint8 or bool [9] or [3, 9]");
  expect([&] { attend(q, {k}, {k}, {3}, {ones({9}, kFloat)}); }, "given Float [9]");
  expect(
      [&] {
        attend(q, {k}, {k}, {3}, {ones({9}, kByte), ones({9}, kByte)});
      },
      "mask must be empty or as many as key");
}

}  // namespace
