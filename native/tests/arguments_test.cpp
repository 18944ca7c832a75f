// The operators' refusals and their messages; shapes without data.
#include <cmath>

#include "support.h"

namespace longformer::test {
namespace {

const Device meta_device{DeviceType::meta, -1};
const std::vector<int64_t> two_sequences{0, 4, 10};

Tensor floats(IntList shape) {
  return zeros(shape, kFloat);
}
Tensor index(const std::vector<int64_t>& values, IntList shape) {
  return integer_tensor(values, shape);
}

// A call that is right in every argument but what a test changes.
struct Call {
  Tensor q = floats({2, 5, 3, 4}), k = floats({2, 5, 3, 4}), v = floats({2, 5, 3, 4});
  BandedOptions options;
  Call() {
    options.window_left = options.window_right = 1;
    options.implementation = "loop";
  }
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
    {"integer_query", [](Call& c) { c.q = c.q.to(kLong); }, {"query must be float32", "Long"}},
    {"key_of_another_length",
     [](Call& c) {
       c.k = floats({2, 6, 3, 4});
     },
     {"key must have the shape of query", "[2, 5, 3, 4]", "[2, 6, 3, 4]"}},
    {"value_of_another_dtype",
     [](Call& c) { c.v = c.v.to(kDouble); },
     {"value must have the dtype of query", "Float", "Double"}},
    {"value_on_another_device",
     [](Call& c) {
       c.v = empty({2, 5, 3, 4}, TensorOptions(kFloat, meta_device));
     },
     {"value must be on the device of query", "cpu", "meta"}},
    {"undefined_value", [](Call& c) { c.v = Tensor(); }, {"value must be a tensor"}},
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
     {"dilation must have 1 value", "3 heads", "given 2"}},
    {"dilation_zero",
     [](Call& c) { c.options.dilation = dilation_with_zero; },
     {"dilation[1] must be >= 1", "given 0"}},
    {"mask_shape",
     [](Call& c) {
       c.options.mask = ones({2, 4}, kBool);
     },
     {"mask must be [B, T]", "[2, 5]", "[2, 4]"}},
    {"packed_mask_shape",
     [](Call& c) {
       pack(c, two_sequences);
       c.options.mask = ones({2, 5}, kBool);
     },
     {"mask must be [N]", "[10]", "[2, 5]"}},
    {"mask_dtype",
     [](Call& c) {
       c.options.mask = ones({2, 5}, kFloat);
     },
     {"mask must be bool, uint8 or int64", "Float"}},
    {"global_index_dtype",
     [](Call& c) {
       c.options.global_index = zeros({2, 1}, kInt);
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
     {"global_index[1, 1]", "0 .. 4", "given 5"}},
    {"global_index_below_minus_one",
     [](Call& c) {
       c.options.global_index = index({-2, -1}, {2, 1});
     },
     {"global_index[0, 0]", "given -2"}},
    {"global_index_twice",
     [](Call& c) {
       c.options.global_index = index({0, 1, 3, 3}, {2, 2});
     },
     {"global_index must ascend strictly", "given 3 behind 3 at [1, 1]"}},
    {"global_index_padded_in_front",
     [](Call& c) {
       c.options.global_index = index({-1, 1, 0, 3}, {2, 2});
     },
     {"-1 only at the end", "given 1 behind -1 at [0, 1]"}},
    {"offsets_descend",
     [](Call& c) { pack(c, descending); },
     {"sequence_offsets must ascend", "given 6 before 4 at index 1"}},
    {"offsets_from_one",
     [](Call& c) { pack(c, from_one); },
     {"sequence_offsets must start with 0", "[1, 10]"}},
    {"offsets_too_short",
     [](Call& c) { pack(c, too_short); },
     {"sequence_offsets must end with the 10 tokens", "given 9"}},
    {"offsets_empty", [](Call& c) { pack(c, no_offsets); }, {"sequence_offsets must start with 0", "[]"}},
    {"scale_not_finite", [](Call& c) { c.options.scale = std::nan(""); }, {"scale must be finite", "nan"}},
    {"dropout_of_one",
     [](Call& c) { c.options.dropout = 1.0; },
     {"dropout must be a probability", "given 1"}},
    {"dropout_negative",
     [](Call& c) { c.options.dropout = -0.1; },
     {"dropout must be a probability", "given -0.1"}},
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

TEST(BackwardRefuses, tensors_that_the_forward_did_not_return) {
  Call c;
  const auto [out, lse] = banded_attention(c.q, c.k, c.v, c.options);
  const auto call = [&](const Tensor& grad_out, const Tensor& o, const Tensor& l) {
    return value_error([&] { banded_attention_backward(grad_out, c.q, c.k, c.v, o, l, c.options); });
  };
  EXPECT_EQ(call(out, out, lse), "");
  expect_words(call(floats({2, 5, 3, 5}), out, lse),
               {"grad_output must have the shape of query", "[2, 5, 3, 5]"});
  expect_words(call(out, out.to(kDouble), lse), {"output must have the dtype of query", "Double"});
  expect_words(call(out, out, lse.transpose(1, 2)), {"logsumexp must be [2, 5, 3]", "[2, 3, 5]"});
  expect_words(call(out, out, lse.to(kDouble)), {"logsumexp must be Float", "Double"});
}

TEST(GlobalRefuses, malformed_arguments) {
  const Tensor q = floats({2, 1, 3, 4}), k = floats({2, 5, 3, 4}), i = index({0, 2}, {2, 1});
  const auto call = [](const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& i,
                       const GlobalOptions& o = {}) {
    return value_error([&] { global_attention(q, k, v, i, o); });
  };
  EXPECT_EQ(call(q, k, k, i), "");
  expect_words(call(floats({2, 2, 3, 4}), k, k, i),
               {"longformer::global_attention: query must be [S, G, H, D]", "[2, 1]", "[2, 2, 3, 4]"});
  expect_words(call(q, floats({2, 5, 4, 4}), k, i), {"key must have the heads", "[3, 4]", "[2, 5, 4, 4]"});
  expect_words(call(q, k, floats({2, 4, 3, 4}), i), {"value must have the shape of key", "[2, 4, 3, 4]"});
  expect_words(call(q, k.to(kHalf), k, i), {"key must have the dtype of query", "Half"});
  expect_words(call(q, k, k, index({0, 5}, {2, 1})), {"global_index[1, 0]", "0 .. 4", "given 5"});
  GlobalOptions dropout;
  dropout.dropout = 2.0;
  expect_words(call(q, k, k, i, dropout), {"dropout must be a probability", "given 2"});
}

TEST(FoldedGlobalRefuses, malformed_weights) {
  const Tensor q = floats({2, 1, 3, 4}), x = floats({2, 5, 7}), w = floats({12, 7}), b = floats({12});
  const Tensor i = index({0, 2}, {2, 1});
  const auto call = [&](const Tensor& hidden, const Tensor& wk, const Tensor& bk, const Tensor& wv) {
    return value_error([&] { folded_global_attention(q, hidden, wk, bk, wv, b, i); });
  };
  EXPECT_EQ(call(x, w, b, w), "");
  expect_words(call(floats({2, 5}), w, b, w), {"hidden must be [B, T, C]", "[2, 5]"});
  expect_words(call(x, floats({7, 12}), b, w), {"key_weight must be [H*D, C] = [12, 7]", "[7, 12]"});
  expect_words(call(x, w, floats({7}), w), {"key_bias must be [H*D] = [12]", "[7]"});
  expect_words(call(x, w, b, w.to(kDouble)), {"value_weight must have the dtype of query", "Double"});
}

TEST(Meta, gives_shapes_and_dtypes_without_data) {
  for (ScalarType type : {kFloat, kDouble, kBFloat16}) {
    const auto meta = TensorOptions(type, meta_device);
    const ScalarType wide = type == kDouble ? kDouble : kFloat;
    Call c;
    c.options.implementation = "fused";
    c.q = c.k = c.v = empty({2, 9, 3, 4}, meta);
    c.options.global_index = empty({2, 3}, meta.dtype(kLong));
    const auto [out, lse] = banded_attention(c.q, c.k, c.v, c.options);
    EXPECT_EQ(out.sizes(), c.q.sizes());
    EXPECT_EQ(out.scalar_type(), type);
    EXPECT_EQ(lse.sizes(), IntList({2, 9, 3}));
    EXPECT_EQ(lse.scalar_type(), wide);
    EXPECT_TRUE(out.is_meta() && lse.is_meta());
    const auto [grad_q, grad_k, grad_v] = banded_attention_backward(out, c.q, c.k, c.v, out, lse, c.options);
    for (const Tensor& grad : {grad_q, grad_k, grad_v}) EXPECT_EQ(grad.sizes(), c.q.sizes());

    Problem p;
    p.packed = true;
    p.lengths = {4, 5};
    p.q = p.k = empty({9, 3, 4}, meta);
    p.global_index = empty({2, 3}, meta.dtype(kLong));
    const Tensor probabilities = banded_probabilities(p);
    EXPECT_EQ(probabilities.sizes(), IntList({9, 3, 3 + 5}));
    EXPECT_EQ(probabilities.scalar_type(), wide);
    EXPECT_EQ(global_attention(empty({2, 3, 3, 4}, meta), c.k, c.v, *c.options.global_index).sizes(),
              IntList({2, 3, 3, 4}));
  }
}

TEST(Meta, checks_the_arguments_too) {
  const auto meta = TensorOptions(kFloat, meta_device);
  Call c;
  c.q = c.k = empty({2, 9, 3, 4}, meta);
  c.v = empty({2, 8, 3, 4}, meta);
  expect_words(value_error([&] { banded_attention(c.q, c.k, c.v, c.options); }),
               {"value must have the shape of query"});
}

}  // namespace
}  // namespace longformer::test
