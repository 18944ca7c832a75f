// What the operators refuse, and in which words; shapes without data; handles.
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd.h>

#include "support.h"

namespace longformer::test {
namespace {

const std::vector<int64_t> two_sequences{0, 4, 10};

at::Tensor floats(at::IntArrayRef shape) {
  return at::zeros(shape, at::kFloat);
}
at::Tensor index(std::vector<int64_t> values, at::IntArrayRef shape) {
  return at::tensor(values, at::kLong).view(shape);
}

// A call that is right in every argument but what a test changes.
struct Call {
  at::Tensor q = floats({2, 5, 3, 4}), k = floats({2, 5, 3, 4}), v = floats({2, 5, 3, 4});
  BandedOptions options{1, 1, {}, c10::nullopt, c10::nullopt, {}, c10::nullopt, 0.0, 0, "loop"};
};

struct Refusal {
  const char* name;
  std::function<void(Call&)> spoil;
  std::vector<const char*> words;
};

const std::vector<int64_t> dilation_of_two{1, 2}, dilation_with_zero{1, 0, 2}, descending{0, 6, 4, 10},
    from_one{1, 10}, too_short{0, 4, 9}, no_offsets{};

void pack(Call& c, const std::vector<int64_t>& offsets) {
  c.q = c.k = c.v = floats({10, 3, 4});
  c.options.sequence_offsets = offsets;
}

const Refusal refusals[] = {
    {"query_of_rank_3",
     [](Call& c) {
       c.q = floats({5, 3, 4});
     },
     {"query must be [B, T, H, D]", "[5, 3, 4]"}},
    {"packed_query_of_rank_4",
     [](Call& c) { c.options.sequence_offsets = two_sequences; },
     {"query must be [N, H, D]", "[2, 5, 3, 4]"}},
    {"integer_query", [](Call& c) { c.q = c.q.to(at::kLong); }, {"query must be float32", "Long"}},
    {"key_of_another_length",
     [](Call& c) {
       c.k = floats({2, 6, 3, 4});
     },
     {"key must have the shape of query", "[2, 5, 3, 4]", "[2, 6, 3, 4]"}},
    {"value_of_another_dtype",
     [](Call& c) { c.v = c.v.to(at::kDouble); },
     {"value must have the dtype of query", "Float", "Double"}},
    {"value_on_another_device",
     [](Call& c) {
       c.v = at::empty({2, 5, 3, 4}, at::TensorOptions(at::kFloat).device(at::kMeta));
     },
     {"value must be on the device of query", "cpu", "meta"}},
    {"undefined_value", [](Call& c) { c.v = at::Tensor(); }, {"value must be a tensor"}},
    {"no_heads",
     [](Call& c) {
       c.q = c.k = c.v = floats({2, 5, 0, 4});
     },
     {"at least one head", "[2, 5, 0, 4]"}},
    {"negative_window_left", [](Call& c) { c.options.window_left = -1; }, {"window_left must be >= 0", "-1"}},
    {"negative_window_right",
     [](Call& c) { c.options.window_right = -3; },
     {"window_right must be >= 0", "-3"}},
    {"dilation_count",
     [](Call& c) { c.options.dilation = dilation_of_two; },
     {"dilation must have 1 value", "3 heads", "got 2"}},
    {"dilation_zero",
     [](Call& c) { c.options.dilation = dilation_with_zero; },
     {"dilation[1] must be >= 1", "got 0"}},
    {"mask_shape",
     [](Call& c) {
       c.options.mask = at::ones({2, 4}, at::kBool);
     },
     {"mask must be [B, T]", "[2, 5]", "[2, 4]"}},
    {"packed_mask_shape",
     [](Call& c) {
       pack(c, two_sequences);
       c.options.mask = at::ones({2, 5}, at::kBool);
     },
     {"mask must be [N]", "[10]", "[2, 5]"}},
    {"mask_dtype",
     [](Call& c) {
       c.options.mask = at::ones({2, 5}, at::kFloat);
     },
     {"mask must be bool, uint8 or int64", "Float"}},
    {"global_index_dtype",
     [](Call& c) {
       c.options.global_index = at::zeros({2, 1}, at::kInt);
     },
     {"global_index must be int64", "Int"}},
    {"global_index_shape",
     [](Call& c) {
       c.options.global_index = index({0, 1, 2}, {3, 1});
     },
     {"global_index must be [S, G] with S = 2", "[3, 1]"}},
    {"global_index_past_the_end",
     [](Call& c) {
       c.options.global_index = index({0, 4, 1, 5}, {2, 2});
     },
     {"global_index[1, 1]", "0 .. 4", "got 5"}},
    {"global_index_below_minus_one",
     [](Call& c) {
       c.options.global_index = index({-2, -1}, {2, 1});
     },
     {"global_index[0, 0]", "got -2"}},
    {"global_index_twice",
     [](Call& c) {
       c.options.global_index = index({0, 1, 3, 3}, {2, 2});
     },
     {"global_index must ascend strictly", "got 3 behind 3 at [1, 1]"}},
    {"global_index_padded_in_front",
     [](Call& c) {
       c.options.global_index = index({-1, 1, 0, 3}, {2, 2});
     },
     {"-1 only at the end", "got 1 behind -1 at [0, 1]"}},
    {"offsets_descend",
     [](Call& c) { pack(c, descending); },
     {"sequence_offsets must ascend", "got 6 before 4 at index 1"}},
    {"offsets_from_one",
     [](Call& c) { pack(c, from_one); },
     {"sequence_offsets must start with 0", "[1, 10]"}},
    {"offsets_too_short",
     [](Call& c) { pack(c, too_short); },
     {"sequence_offsets must end with the 10 tokens", "got 9"}},
    {"offsets_empty", [](Call& c) { pack(c, no_offsets); }, {"sequence_offsets must start with 0", "[]"}},
    {"scale_not_finite", [](Call& c) { c.options.scale = std::nan(""); }, {"scale must be finite", "nan"}},
    {"dropout_of_one", [](Call& c) { c.options.dropout = 1.0; }, {"dropout must be a probability", "got 1"}},
    {"dropout_negative",
     [](Call& c) { c.options.dropout = -0.1; },
     {"dropout must be a probability", "got -0.1"}},
    {"implementation",
     [](Call& c) { c.options.implementation = "tvm"; },
     {"implementation must be \"fused\", \"chunks\" or \"loop\"", "\"tvm\""}},
};

struct Refuses : testing::TestWithParam<Refusal> {};
INSTANTIATE_TEST_SUITE_P(, Refuses, testing::ValuesIn(refusals),
                         [](const auto& info) { return info.param.name; });

TEST_P(Refuses, with_a_message_that_names_the_argument) {
  Call call;
  GetParam().spoil(call);
  const std::string message = value_error([&] { banded_attention(call.q, call.k, call.v, call.options); });
  EXPECT_NE(message.find("longformer::banded_attention: "), std::string::npos) << message;
  for (const char* words : GetParam().words) EXPECT_NE(message.find(words), std::string::npos) << message;
}

void expect_words(const std::string& message, std::initializer_list<const char*> words) {
  for (const char* w : words)
    EXPECT_NE(message.find(w), std::string::npos) << "'" << w << "' not in: " << message;
}

TEST(BackwardRefuses, tensors_that_the_forward_did_not_return) {
  Call c;
  const auto [out, lse] = banded_attention(c.q, c.k, c.v, c.options);
  const auto call = [&](const at::Tensor& grad_out, const at::Tensor& o, const at::Tensor& l) {
    return value_error([&] { banded_attention_backward(grad_out, c.q, c.k, c.v, o, l, c.options); });
  };
  EXPECT_EQ(call(out, out, lse), "");
  expect_words(call(floats({2, 5, 3, 5}), out, lse),
               {"grad_output must have the shape of query", "[2, 5, 3, 5]"});
  expect_words(call(out, out.to(at::kDouble), lse), {"output must have the dtype of query", "Double"});
  expect_words(call(out, out, lse.transpose(1, 2)), {"logsumexp must be [2, 5, 3]", "[2, 3, 5]"});
  expect_words(call(out, out, lse.to(at::kDouble)), {"logsumexp must be Float", "Double"});
}

TEST(GlobalRefuses, malformed_arguments) {
  const at::Tensor q = floats({2, 1, 3, 4}), k = floats({2, 5, 3, 4}), i = index({0, 2}, {2, 1});
  const auto call = [](const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& i,
                       const GlobalOptions& o = {}) {
    return value_error([&] { global_attention(q, k, v, i, o); });
  };
  EXPECT_EQ(call(q, k, k, i), "");
  expect_words(call(floats({2, 2, 3, 4}), k, k, i),
               {"longformer::global_attention: query must be [S, G, H, D]", "[2, 1]", "[2, 2, 3, 4]"});
  expect_words(call(q, floats({2, 5, 4, 4}), k, i), {"key must have the heads", "[3, 4]", "[2, 5, 4, 4]"});
  expect_words(call(q, k, floats({2, 4, 3, 4}), i), {"value must have the shape of key", "[2, 4, 3, 4]"});
  expect_words(call(q, k.to(at::kHalf), k, i), {"key must have the dtype of query", "Half"});
  expect_words(call(q, k, k, index({0, 5}, {2, 1})), {"global_index[1, 0]", "0 .. 4", "got 5"});
  GlobalOptions dropout;
  dropout.dropout = 2.0;
  expect_words(call(q, k, k, i, dropout), {"dropout must be a probability", "got 2"});
}

TEST(FoldedGlobalRefuses, malformed_weights) {
  const at::Tensor q = floats({2, 1, 3, 4}), x = floats({2, 5, 7}), w = floats({12, 7}), b = floats({12});
  const at::Tensor i = index({0, 2}, {2, 1});
  const auto call = [&](const at::Tensor& hidden, const at::Tensor& wk, const at::Tensor& bk,
                        const at::Tensor& wv) {
    return value_error([&] { folded_global_attention(q, hidden, wk, bk, wv, b, i); });
  };
  EXPECT_EQ(call(x, w, b, w), "");
  expect_words(call(floats({2, 5}), w, b, w), {"hidden must be [B, T, C]", "[2, 5]"});
  expect_words(call(x, floats({7, 12}), b, w), {"key_weight must be [H*D, C] = [12, 7]", "[7, 12]"});
  expect_words(call(x, w, floats({7}), w), {"key_bias must be [H*D] = [12]", "[7]"});
  expect_words(call(x, w, b, w.to(at::kDouble)), {"value_weight must have the dtype of query", "Double"});
}

TEST(Meta, gives_shapes_and_dtypes_without_data) {
  for (at::ScalarType type : {at::kFloat, at::kDouble, at::kBFloat16}) {
    const auto meta = at::TensorOptions(type).device(at::kMeta);
    const at::ScalarType wide = type == at::kDouble ? at::kDouble : at::kFloat;
    Call c;
    c.options.implementation = "fused";
    c.q = at::empty({2, 9, 3, 4}, meta).set_requires_grad(true);
    c.k = c.v = at::empty({2, 9, 3, 4}, meta);
    c.options.global_index = at::empty({2, 3}, meta.dtype(at::kLong));
    const auto [out, lse] = banded_attention(c.q, c.k, c.v, c.options);
    EXPECT_EQ(out.sizes(), c.q.sizes());
    EXPECT_EQ(out.scalar_type(), type);
    EXPECT_EQ(lse.sizes(), at::IntArrayRef({2, 9, 3}));
    EXPECT_EQ(lse.scalar_type(), wide);
    EXPECT_TRUE(out.is_meta() && lse.is_meta());
    const auto grads = torch::autograd::grad({out}, {c.q}, {at::empty({2, 9, 3, 4}, meta)});
    EXPECT_EQ(grads[0].sizes(), c.q.sizes());

    Problem p;
    p.packed = true;
    p.lengths = {4, 5};
    p.q = p.k = at::empty({9, 3, 4}, meta);
    p.global_index = at::empty({2, 3}, meta.dtype(at::kLong));
    const at::Tensor probabilities = banded_probabilities(p);
    EXPECT_EQ(probabilities.sizes(), at::IntArrayRef({9, 3, 3 + 5}));
    EXPECT_EQ(probabilities.scalar_type(), wide);
    EXPECT_EQ(global_attention(at::empty({2, 3, 3, 4}, meta), c.k, c.v, *c.options.global_index).sizes(),
              at::IntArrayRef({2, 3, 3, 4}));
  }
}

TEST(Meta, checks_the_arguments_too) {
  const auto meta = at::TensorOptions(at::kFloat).device(at::kMeta);
  Call c;
  c.q = c.k = at::empty({2, 9, 3, 4}, meta);
  c.v = at::empty({2, 8, 3, 4}, meta);
  expect_words(value_error([&] { banded_attention(c.q, c.k, c.v, c.options); }),
               {"value must have the shape of query"});
}

TEST(Handles, carry_a_tensor_with_its_graph) {
  const auto to = c10::Dispatcher::singleton()
                      .findSchemaOrThrow("longformer::_to_handle", "")
                      .typed<int64_t(const at::Tensor&)>();
  const auto from = c10::Dispatcher::singleton()
                        .findSchemaOrThrow("longformer::_from_handle", "")
                        .typed<at::Tensor(int64_t)>();
  const at::Tensor leaf = at::ones({3}, at::kFloat).set_requires_grad(true);
  const at::Tensor doubled = leaf * 2;
  const auto references = doubled.use_count();
  const int64_t handle = to.call(doubled);
  EXPECT_EQ(doubled.use_count(), references + 1) << "the handle owns a reference";
  {
    const at::Tensor back = from.call(handle);
    EXPECT_TRUE(back.is_same(doubled));
    EXPECT_EQ(torch::autograd::grad({back.sum()}, {leaf})[0].sum().item<float>(), 6.0f);
  }
  EXPECT_EQ(doubled.use_count(), references + 1);
  // Given back as the dispatcher shim does it.
  at::Tensor(c10::intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>::reclaim(
      reinterpret_cast<c10::TensorImpl*>(handle)));
  EXPECT_EQ(doubled.use_count(), references);
  expect_words(value_error([&] { from.call(0); }), {"_from_handle", "got 0"});
}

}  // namespace
}  // namespace longformer::test
