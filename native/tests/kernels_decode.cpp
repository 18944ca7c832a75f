// The kernels of token-by-token decoding against float64, for every instruction set: linear on a few rows,
// and decode_attention.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "kernels_isa.h"

namespace {

using OptionalTensor = c10::optional<at::Tensor>;

at::Tensor linear(const at::Tensor& x, const at::Tensor& w, const OptionalTensor& b,
                  const std::string& activation, const OptionalTensor& residual) {
  static const auto op =
      c10::Dispatcher::singleton()
          .findSchemaOrThrow("longformer::linear", "")
          .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const OptionalTensor&,
                            const OptionalTensor&, c10::string_view, const OptionalTensor&)>();
  return op.call(x, w, b, {}, activation, residual);
}

at::Tensor attend(const at::Tensor& q, const std::vector<at::Tensor>& k, const std::vector<at::Tensor>& v,
                  const std::vector<int64_t>& rows, const std::vector<at::Tensor>& mask = {},
                  c10::optional<double> scale = {}) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("longformer::decode_attention", "")
                             .typed<at::Tensor(const at::Tensor&, at::TensorList, at::TensorList,
                                               at::IntArrayRef, at::TensorList, c10::optional<double>)>();
  return op.call(q, k, v, rows, mask, scale);
}

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

at::Tensor exact_linear(const at::Tensor& x, const at::Tensor& w, const at::Tensor& b,
                        const std::string& activation, const at::Tensor& r) {
  at::Tensor y = at::matmul(x.to(at::kDouble), w.to(at::kDouble).t()) + b.to(at::kDouble);
  if (activation == "gelu") y = at::gelu(y);
  if (activation == "gelu_tanh") y = at::gelu(y, "tanh");
  if (activation == "relu") y = y.relu();
  if (activation == "tanh") y = y.tanh();
  return y + r.to(at::kDouble);
}

// The definition: softmax over all keys of one document, hidden ones at the lowest number.
at::Tensor exact_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           const at::Tensor& mask, double scale) {
  at::Tensor s = at::einsum("rhd,lhd->hrl", {q.to(at::kDouble), k.to(at::kDouble)}) * scale;
  if (mask.defined()) s = s.masked_fill(mask.eq(0), std::numeric_limits<double>::lowest());
  return at::einsum("hrl,lhd->rhd", {s.softmax(-1), v.to(at::kDouble)});
}

using Decode = longformer::test::OfInstructionSet;

TEST_P(Decode, linear_on_a_few_rows_equals_float64_for_every_option) {
  for (at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf}) {
    const double limit = type == at::kFloat ? 1e-5 : type == at::kHalf ? 1e-2 : 6e-2;
    for (const std::vector<int64_t>& shape : {std::vector<int64_t>{33, 5}, {64, 160}, {7, 1}, {768, 777}}) {
      for (int64_t rows : {1, 2, 3, 4, 5, 7, 8, 11, 16}) {
        const at::Tensor x = at::randn({rows, shape[0]}).to(type),
                         w = (at::randn({shape[1], shape[0]}) / std::sqrt(double(shape[0]))).to(type),
                         b = at::randn({shape[1]}).to(type), r = at::randn({rows, shape[1]}).to(type);
        for (const std::string activation : {"none", "gelu", "gelu_tanh", "relu", "tanh"}) {
          const at::Tensor y = linear(x, w, b, activation, r);
          EXPECT_EQ(y.scalar_type(), type);
          EXPECT_LT(largest_difference(y, exact_linear(x, w, b, activation, r)), limit)
              << activation << " " << c10::toString(type) << " " << rows << " rows of " << shape;
        }
      }
    }
  }
}

TEST_P(Decode, activations_hold_far_out_and_let_nan_through) {
  const float inf = std::numeric_limits<float>::infinity();
  const at::Tensor x = at::tensor({-inf, -1e30f, -200.0f, -9.0f, -1e-20f, 0.0f, 1e-20f, 9.0f, 200.0f, 1e30f,
                                   std::numeric_limits<float>::quiet_NaN()})
                           .unsqueeze(1);
  const at::Tensor one = at::ones({1, 1});
  for (const std::string activation : {"gelu", "gelu_tanh", "relu", "tanh"}) {
    const at::Tensor y = linear(x, one, {}, activation, {}),
                     expected = exact_linear(x, one, at::zeros({1}), activation, at::zeros({1}));
    EXPECT_TRUE(y[10].isnan().item<bool>()) << activation;
    // Both limits of gelu at minus infinity are 0 times infinity in ATen as well.
    EXPECT_TRUE(at::allclose(y.slice(0, 1, 10).to(at::kDouble), expected.slice(0, 1, 10), 1e-6, 3e-6))
        << activation << y << expected;
  }
}

TEST_P(Decode, a_row_of_a_linear_layer_does_not_depend_on_the_others) {
  const at::Tensor x = at::randn({16, 200}), w = at::randn({100, 200}), b = at::randn({100});
  const at::Tensor all = linear(x, w, b, "gelu", {});
  for (int64_t i = 0; i < 16; ++i)
    EXPECT_TRUE(at::equal(linear(x.slice(0, i, i + 1), w, b, "gelu", {})[0], all[i])) << i;
}

TEST_P(Decode, linear_reads_slices_of_weights_and_strided_rows) {
  const at::Tensor x = at::randn({48, 3}).t(), all = at::randn({40, 96}), w = all.slice(1, 20, 68);
  EXPECT_LT(largest_difference(linear(x, w, {}, "none", {}), at::matmul(x, w.t())), 1e-4);
  const at::Tensor transposed = at::randn({48, 40}).t();
  EXPECT_LT(largest_difference(linear(x, transposed, {}, "none", {}), at::matmul(x, transposed.t())), 1e-4);
}

TEST_P(Decode, attention_equals_float64_for_every_dtype_and_shape) {
  for (at::ScalarType type : {at::kFloat, at::kDouble, at::kBFloat16, at::kHalf}) {
    const double limit = type == at::kDouble  ? 1e-12
                         : type == at::kFloat ? 2e-6
                         : type == at::kHalf  ? 4e-3
                                              : 3e-2;
    for (const std::vector<int64_t>& shape :
         {std::vector<int64_t>{2, 8}, {3, 16}, {12, 64}, {1, 33}, {4, 80}}) {
      for (int64_t rows : {1, 2, 3, 4, 5, 9}) {
        for (int64_t keys : {1, 15, 16, 17, 300, 1000}) {
          const at::Tensor q = at::randn({rows, shape[0], shape[1]}).to(type) * 2,
                           k = at::randn({keys, shape[0], shape[1]}).to(type),
                           v = at::randn({keys, shape[0], shape[1]}).to(type);
          const double scale = 1 / std::sqrt(double(shape[1]));
          const at::Tensor y = attend(q, {k}, {v}, {rows});
          EXPECT_EQ(y.scalar_type(), type);
          EXPECT_LT(largest_difference(y, exact_attention(q, k, v, {}, scale)), limit)
              << c10::toString(type) << " " << rows << " rows, " << keys << " keys, heads and size " << shape;
        }
      }
    }
  }
}

TEST_P(Decode, attention_of_several_documents_is_that_of_each_alone) {
  std::vector<at::Tensor> k, v, mask;
  const std::vector<int64_t> rows = {4, 0, 1, 3};
  for (int64_t keys : {700, 5, 20, 33}) {
    k.push_back(at::randn({keys, 3, 16}));
    v.push_back(at::randn({keys, 3, 16}));
  }
  mask = {(at::rand({4, 700}) < 0.5).to(at::kByte), at::empty({0}, at::kByte), at::rand({20}) < 0.7,
          at::empty({0}, at::kByte)};
  const at::Tensor q = at::randn({8, 3, 16}), all = attend(q, k, v, rows, mask, 0.3);
  for (int64_t d = 0, first = 0; d < 4; first += rows[size_t(d)], ++d) {
    if (rows[size_t(d)] == 0) continue;
    const size_t i = size_t(d);
    const at::Tensor of_one = q.narrow(0, first, rows[i]), m = mask[i].numel() == 0 ? at::Tensor() : mask[i];
    EXPECT_TRUE(
        at::equal(all.narrow(0, first, rows[i]), attend(of_one, {k[i]}, {v[i]}, {rows[i]}, {mask[i]}, 0.3)));
    EXPECT_LT(largest_difference(all.narrow(0, first, rows[i]), exact_attention(of_one, k[i], v[i], m, 0.3)),
              2e-6);
  }
}

TEST_P(Decode, a_row_of_attention_depends_neither_on_the_others_nor_on_the_threads) {
  const at::Tensor q = at::randn({7, 4, 64}), k = at::randn({900, 4, 64}), v = at::randn({900, 4, 64});
  const at::Tensor all = attend(q, {k}, {v}, {7});
  for (int64_t i = 0; i < 7; ++i)
    EXPECT_TRUE(at::equal(attend(q.slice(0, i, i + 1), {k}, {v}, {1})[0], all[i])) << i;
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  EXPECT_TRUE(at::equal(attend(q, {k}, {v}, {7}), all));
  at::set_num_threads(threads);
}

TEST_P(Decode, a_query_that_may_see_nothing_gives_the_mean_and_hidden_keys_leave_no_trace) {
  const at::Tensor q = at::randn({2, 2, 16}), k = at::randn({40, 2, 16}), v = at::randn({40, 2, 16});
  at::Tensor mask = at::zeros({2, 40}, at::kByte);
  mask[1][39] = 1;
  const at::Tensor y = attend(q, {k}, {v}, {2}, {mask});
  EXPECT_LT(largest_difference(y[0], v.mean(0)), 1e-6);
  EXPECT_TRUE(at::equal(y[1], v[39]));
}

TEST_P(Decode, attention_reads_slices_and_large_scores) {
  const at::Tensor joined = at::randn({50, 2, 3, 16});
  const at::Tensor k = joined.select(1, 0) * 30, v = joined.select(1, 1);
  const at::Tensor q = at::randn({3, 3, 16}) * 30;
  EXPECT_LT(largest_difference(attend(q, {k}, {v}, {3}, {}, 1.0), exact_attention(q, k, v, {}, 1.0)), 2e-3);
  const at::Tensor by_head = at::randn({3, 50, 16}).transpose(0, 1);
  EXPECT_LT(largest_difference(attend(q, {by_head}, {v}, {3}), exact_attention(q, by_head, v, {}, 0.25)),
            1e-5);
}

FOR_EACH_INSTRUCTION_SET(Decode);

TEST(DecodeAttention, records_gradients) {
  at::manual_seed(3);
  const auto leaf = [](at::IntArrayRef shape) {
    return at::randn(shape, at::kDouble).set_requires_grad(true);
  };
  const std::vector<at::Tensor> x = {leaf({3, 2, 4}), leaf({9, 2, 4}), leaf({9, 2, 4})};
  const at::Tensor mask = (at::rand({3, 9}) < 0.8).to(at::kByte);
  const auto a = torch::autograd::grad({attend(x[0], {x[1]}, {x[2]}, {3}, {mask}).square().sum()}, x);
  const auto e = torch::autograd::grad({exact_attention(x[0], x[1], x[2], mask, 0.5).square().sum()}, x);
  for (size_t i = 0; i < x.size(); ++i) EXPECT_LT(largest_difference(a[i], e[i]), 1e-11) << i;
}

TEST(DecodeAttention, knows_shapes_without_data) {
  const auto meta = at::TensorOptions(at::kFloat).device(at::kMeta);
  const at::Tensor q = at::empty({3, 2, 4}, meta), k = at::empty({9, 2, 4}, meta);
  EXPECT_EQ(attend(q, {k}, {k}, {3}).sizes(), q.sizes());
}

std::string message_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const c10::Error& e) {
    return e.what_without_backtrace();
  }
  return "no error";
}

TEST(DecodeAttention, errors_name_the_argument_and_both_shapes) {
  const at::Tensor q = at::randn({3, 2, 4}), k = at::randn({9, 2, 4});
  const auto expect = [](const std::function<void()>& work, const std::string& part) {
    const std::string message = message_of(work);
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  expect([&] { attend(q[0], {k}, {k}, {3}); }, "query must be [R, H, D], got [2, 4]");
  expect([&] { attend(q, {k}, {k, k}, {3}); }, "as many as key, 1, got 2 and 1");
  expect([&] { attend(q, {k}, {k}, {2}); }, "rows must sum to the queries, 3, got 2");
  expect([&] { attend(q, {k, k}, {k, k}, {4, -1}); }, "got -1 for document 1");
  expect(
      [&] {
        attend(q, {at::randn({9, 2, 5})}, {k}, {3});
      },
      "key must be [L, 2, 4] with L > 0, got [9, 2, 5]");
  expect([&] { attend(q, {at::randn({0, 2, 4})}, {k}, {3}); }, "with L > 0, got [0, 2, 4]");
  expect(
      [&] {
        attend(q, {k}, {at::randn({8, 2, 4})}, {3});
      },
      "value must be like key, [9, 2, 4], got [8, 2, 4]");
  expect([&] { attend(q, {k.to(at::kDouble)}, {k}, {3}); }, "must be Float on cpu like query, got Double");
  expect([&] { attend(q, {k}, {k}, {3}, {at::ones({8}, at::kByte)}); },
         "mask must be uint8 or bool [9] or [3, 9]");
  expect([&] { attend(q, {k}, {k}, {3}, {at::ones({9})}); }, "got Float [9]");
  expect(
      [&] {
        attend(q, {k}, {k}, {3}, {at::ones({9}, at::kByte), at::ones({9}, at::kByte)});
      },
      "mask must be empty or as many as key");
}

}  // namespace
