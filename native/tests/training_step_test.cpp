// The operators in steps of training, besides gradients: dropout within the normalization, gradients
// added to those that exist, large weights packed part by part, and memory that is held from step to step.
#include <unistd.h>

#include <cmath>
#include <fstream>

#include "../base/block_cache.h"
#include "support.h"

namespace longformer::test {
namespace {

using Three = std::tuple<Tensor, Tensor, Tensor>;
using Four = std::tuple<Tensor, Tensor, Tensor, Tensor>;
using Five = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor>;

OptionalTensor optional(const Tensor& t) {
  return t.defined() ? OptionalTensor(t) : OptionalTensor();
}
double allowed(ScalarType type) {
  return type == kDouble ? 1e-12 : type == kFloat ? 1e-5 : type == kHalf ? 1e-2 : 6e-2;
}

TEST(DropoutAddLayerNorm, is_the_two_operators_in_one_with_their_gradients) {
  Rng rng(1);
  for (const ScalarType type : {kDouble, kFloat, kBFloat16, kHalf})
    for (const int64_t columns : {1, 5, 16, 33, 768})
      for (const double probability : {0.0, 0.1, 0.6})
        for (const bool two : {true, false}) {
          SCOPED_TRACE(text(type, " ", columns, " ", probability, two ? " with" : " without", " residual"));
          const Tensor x = random_tensor(rng, {7, 9, columns}, type),
                       r = two ? random_tensor(rng, x.sizes(), type) : Tensor(),
                       w = random_tensor(rng, {columns}, type), b = random_tensor(rng, {columns}, type),
                       grad = random_tensor(rng, x.sizes(), type);
          const int64_t seed = 77 + columns;
          const double eps = 1e-1;
          // The definition in float64, so that nothing is rounded in between.
          const auto wide = [](const Tensor& t) { return t.defined() ? t.to(kDouble) : t; };
          const Tensor dropped = call<Tensor>("hidden_dropout", wide(x), probability, seed);
          const Tensor expected =
              call<Tensor>("add_layer_norm", dropped, optional(wide(r)), wide(w), wide(b), eps);
          const auto [of_sum, of_w, of_b] =
              call<Three>("_add_layer_norm_backward", wide(grad), dropped, optional(wide(r)), wide(w), eps);
          const Tensor of_x = call<Tensor>("hidden_dropout", of_sum, probability, seed);
          for (const Way way : {Way::direct, Way::dispatcher}) {
            const Tensor y =
                call<Tensor>(way, "_dropout_add_layer_norm", x, optional(r), w, b, eps, probability, seed);
            EXPECT_EQ(y.scalar_type(), type);
            EXPECT_LE(max_difference(y, expected), 3 * allowed(type));
            const auto [gx, gr, gw, gb] = call<Four>(way, "_dropout_add_layer_norm_backward", grad, x,
                                                     optional(r), w, eps, probability, seed);
            EXPECT_LE(max_difference(gx, of_x), 6 * allowed(type));
            EXPECT_LE(max_difference(gr, of_sum), 6 * allowed(type));
            EXPECT_LE(max_difference(gw, of_w), 30 * allowed(type));
            EXPECT_LE(max_difference(gb, of_b), 30 * allowed(type));
          }
        }
}

TEST(DropoutAddLayerNorm, refuses_what_does_not_fit) {
  const Tensor x = zeros({2, 3}, kFloat), w = zeros({3}, kFloat);
  const auto refusal = [&](const Tensor& input, double probability) {
    return value_error([&] {
      call<Tensor>("_dropout_add_layer_norm", input, OptionalTensor(), w, w, 1e-5, probability, int64_t(1));
    });
  };
  EXPECT_EQ(refusal(x, 0.5), "");
  expect_words(refusal(x, 1.0), {"_dropout_add_layer_norm: probability must be in [0, 1), given 1"});
  expect_words(refusal(x, -0.1), {"probability must be in [0, 1)"});
  expect_words(refusal(zeros({2, 4}, kFloat), 0.5), {"weight must be [4]"});
}

TEST(DropoutAddLayerNorm, over_the_input_leaves_the_sum_that_the_backward_needs) {
  Rng rng(8);
  for (const ScalarType type : {kDouble, kFloat})
    for (const int64_t columns : {1, 5, 33, 768})
      for (const double probability : {0.0, 0.3})
        for (const Way way : {Way::direct, Way::dispatcher}) {
          SCOPED_TRACE(text(type, " ", columns, " ", probability));
          const Tensor x = random_tensor(rng, {7, 9, columns}, type), r = random_tensor(rng, x.sizes(), type),
                       w = random_tensor(rng, {columns}, type), b = random_tensor(rng, {columns}, type),
                       grad = random_tensor(rng, x.sizes(), type), over = x.clone();
          const int64_t seed = 5;
          const double eps = 1e-1;
          const Tensor y =
              call<Tensor>(way, "_dropout_add_layer_norm_over", over, r, w, b, eps, probability, seed);
          EXPECT_EQ(max_difference(y, call<Tensor>("_dropout_add_layer_norm", x, OptionalTensor(r), w, b, eps,
                                                   probability, seed)),
                    0.0);
          EXPECT_LE(max_difference(over, call<Tensor>("hidden_dropout", x, probability, seed) + r),
                    allowed(type));
          const auto [gx, gr, gw, gb] =
              call<Four>(way, "_dropout_add_layer_norm_over_backward", grad, over, w, eps, probability, seed);
          const auto [ex, er, ew, eb] = call<Four>("_dropout_add_layer_norm_backward", grad, x,
                                                   OptionalTensor(r), w, eps, probability, seed);
          EXPECT_LE(max_difference(gx, ex), allowed(type));
          EXPECT_LE(max_difference(gr, er), allowed(type));
          EXPECT_LE(max_difference(gw, ew), allowed(type));
          EXPECT_LE(max_difference(gb, eb), allowed(type));
        }
  const Tensor x = zeros({2, 3}, kFloat), w = zeros({3}, kFloat);
  const auto refusal = [&](const Tensor& residual) {
    return value_error(
        [&] { call<Tensor>("_dropout_add_layer_norm_over", x, residual, w, w, 1e-5, 0.5, int64_t(1)); });
  };
  expect_words(refusal(zeros({1, 3}, kFloat)),
               {"_dropout_add_layer_norm_over: residual must have the shape of input", "[1, 3]"});
}

TEST(ActivatedLinearBackward, is_the_three_operators_in_one) {
  Rng rng(9);
  for (const ScalarType type : {kDouble, kFloat, kBFloat16, kHalf})
    for (const char* activation : {"none", "gelu", "gelu_tanh", "relu", "tanh", "silu"})
      for (const auto& [rows, inputs, outputs] :
           {std::tuple<int64_t, int64_t, int64_t>{0, 3, 5}, {1, 3, 5}, {40, 33, 70}, {130, 200, 17}})
        for (const Way way : {Way::direct, Way::dispatcher}) {
          SCOPED_TRACE(text(type, " ", activation, " ", rows, " x ", inputs, " -> ", outputs));
          const Tensor grad = random_tensor(rng, {rows, outputs}, type),
                       x = random_tensor(rng, {rows, inputs}, type),
                       w = random_tensor(rng, {outputs, inputs}, type),
                       before = random_tensor(rng, w.sizes(), type), kept = x.clone();
          const Tensor states = call<Tensor>("activation", x.to(kDouble), activation);
          const auto [gs, gw, gb] =
              call<Three>("_linear_backward", grad.to(kDouble), states, w.to(kDouble), true, true, true);
          const Tensor gx = call<Tensor>("_activation_backward", gs, x.to(kDouble), activation);
          const double limit = 4 * allowed(type) * std::sqrt(double(std::max(rows, outputs) + 1));
          const auto [ax, aw, ab] = call<Three>(way, "_activated_linear_backward", grad, x, w, activation,
                                                true, true, OptionalTensor());
          EXPECT_EQ(ax.scalar_type(), type);
          EXPECT_LE(max_difference(ax, gx), limit);
          EXPECT_LE(max_difference(aw, gw), limit);
          EXPECT_LE(max_difference(ab, gb), limit);
          const Tensor to_w = before.clone();
          const auto [bx, bw, bb] = call<Three>(way, "_activated_linear_backward", grad, x, w, activation,
                                                false, false, OptionalTensor(to_w));
          EXPECT_FALSE(bw.defined() || bb.defined());
          EXPECT_EQ(max_difference(bx, ax), 0.0);
          EXPECT_LE(max_difference(to_w, before.to(kDouble) + gw), limit);
          EXPECT_EQ(max_difference(x, kept), 0.0);
        }
  const Tensor grad = zeros({2, 4}, kFloat), x = zeros({2, 3}, kFloat), w = zeros({4, 3}, kFloat);
  const auto refusal = [&](const Tensor& of, const char* activation) {
    return value_error([&] {
      call<Three>("_activated_linear_backward", of, x, w, activation, true, true, OptionalTensor());
    });
  };
  expect_words(refusal(x, "gelu"), {"_activated_linear_backward: grad_output must be [2, 4]", "[2, 3]"});
  expect_words(refusal(grad, "swish"), {"_activated_linear_backward", "\"swish\""});
}

void call_into(Way way, const Tensor& grad, const Tensor& x, const Tensor& w, const OptionalTensor& to_x,
               const OptionalTensor& to_w) {
  call<void>(way, "_linear_backward_into", grad, x, w, to_x, to_w);
}

TEST(LinearBackwardInto, adds_to_the_gradients_that_exist) {
  Rng rng(2);
  for (const ScalarType type : {kDouble, kFloat, kBFloat16, kHalf})
    for (const auto& [rows, inputs, outputs] :
         {std::tuple<int64_t, int64_t, int64_t>{1, 3, 5}, {40, 33, 70}, {130, 200, 17}})
      for (const Way way : {Way::direct, Way::dispatcher}) {
        SCOPED_TRACE(text(type, " ", rows, " x ", inputs, " -> ", outputs));
        const Tensor grad = random_tensor(rng, {rows, outputs}, type),
                     x = random_tensor(rng, {rows, inputs}, type),
                     w = random_tensor(rng, {outputs, inputs}, type),
                     before_x = random_tensor(rng, x.sizes(), type),
                     before_w = random_tensor(rng, w.sizes(), type);
        const auto [gx, gw, gb] =
            call<Three>("_linear_backward", grad.to(kDouble), x.to(kDouble), w.to(kDouble), true, true, true);
        Tensor to_x = before_x.clone(), to_w = before_w.clone();
        call_into(way, grad, x, w, to_x, to_w);
        const double limit = 4 * allowed(type) * std::sqrt(double(std::max(rows, outputs)));
        EXPECT_LE(max_difference(to_x, before_x.to(kDouble) + gx), limit);
        EXPECT_LE(max_difference(to_w, before_w.to(kDouble) + gw), limit);
        Tensor alone = before_w.clone();
        call_into(way, grad, x, w, {}, alone);
        EXPECT_EQ(max_difference(alone, to_w), 0.0);
        call_into(way, grad, x, w, {}, {});
      }
}

TEST(LinearBackwardInto, refuses_what_does_not_fit) {
  const Tensor grad = zeros({2, 4}, kFloat), x = zeros({2, 3}, kFloat), w = zeros({4, 3}, kFloat);
  expect_words(value_error([&] {
                 call_into(Way::direct, grad, x, w, zeros({2, 4}, kFloat), {});
               }),
               {"_linear_backward_into: out must be [2, 3]", "[2, 4]"});
  expect_words(value_error([&] {
                 call_into(Way::direct, grad, x, w, {}, zeros({4, 3}, kDouble));
               }),
               {"dtype of input, Float", "given Double"});
}

// More than the 16 million cells that are packed at once: with many outputs, and with many inputs.
TEST(LargeWeights, are_multiplied_part_by_part) {
  Rng rng(3);
  for (const ScalarType type : {kFloat, kBFloat16})
    for (const auto& [inputs, outputs] : {std::pair<int64_t, int64_t>{420, 80010}, {300100, 120}}) {
      SCOPED_TRACE(text(type, " ", inputs, " -> ", outputs));
      const int64_t rows = 19;
      const Tensor x = random_tensor(rng, {rows, inputs}, kFloat).to(type),
                   w = random_tensor(rng, {outputs, inputs}, kFloat).to(type),
                   b = random_tensor(rng, {outputs}, type);
      const Tensor y =
          call<Tensor>("linear", x, w, OptionalTensor(b), OptionalTensor(), "none", OptionalTensor());
      const Doubles of_x = values(x), of_w = values(w), of_b = values(b), found = values(y);
      const double limit = (type == kFloat ? 5e-5 : 3e-2) * std::sqrt(double(inputs));
      for (int64_t i = 0; i < 200; ++i) {
        const int64_t row = i % rows, output = i < 2 ? i * (outputs - 1) : uniform(rng, 0, outputs - 1);
        double sum = of_b[size_t(output)];
        for (int64_t k = 0; k < inputs; ++k)
          sum += of_x[size_t(row * inputs + k)] * of_w[size_t(output * inputs + k)];
        ASSERT_NEAR(found[size_t(row * outputs + output)], sum, limit) << row << " " << output;
      }
    }
}

TEST(EmbedBackwardInto, adds_the_words_gradient_to_one_that_exists) {
  Rng rng(4);
  for (const ScalarType type : {kDouble, kFloat, kBFloat16, kHalf}) {
    SCOPED_TRACE(text(type));
    const int64_t tokens = 30, columns = 20;
    const Tensor words = random_tensor(rng, {9, columns}, type),
                 positions = random_tensor(rng, {40, columns}, type),
                 ids = random_integers(rng, {tokens}, 0, 8), places = random_integers(rng, {tokens}, 0, 39),
                 w = random_tensor(rng, {columns}, type), grad = random_tensor(rng, {tokens, columns}, type),
                 before = random_tensor(rng, words.sizes(), type);
    const auto backward = [&](const char* name, auto... to) {
      return call<Five>(name, grad, words, OptionalTensor(ids), positions, OptionalTensor(places),
                        OptionalTensor(), OptionalTensor(), w, w, 1e-2, 1.5, int64_t(3), int64_t(-1), to...);
    };
    const auto [of_words, of_positions, of_types, of_w, of_b] = backward("_embed_backward");
    Tensor to = before.clone();
    const Five into = backward("_embed_backward_into", to);
    EXPECT_FALSE(std::get<0>(into).defined());
    EXPECT_LE(max_difference(to, before.to(kDouble) + of_words.to(kDouble)), 10 * allowed(type));
    EXPECT_EQ(max_difference(std::get<1>(into), of_positions), 0.0);
    EXPECT_EQ(max_difference(std::get<3>(into), of_w), 0.0);
    expect_words(value_error([&] {
                   backward("_embed_backward_into", zeros({8, columns}, type));
                 }),
                 {"_embed_backward_into: out must be [9, 20]"});
  }
}

TEST(BlockCaches, hold_as_much_as_was_used_and_no_more) {
  constexpr size_t kMebibyte = size_t(1) << 20;
  BlockCache cache;
  void* outside = cache.take(8 * kMebibyte);
  cache.hold();
  std::vector<void*> blocks;
  for (int i = 0; i < 10; ++i) blocks.push_back(cache.take(160 * kMebibyte));
  for (void* block : blocks) cache.put(block);
  EXPECT_EQ(cache.unused_bytes(), 1600 * kMebibyte);  // beyond the limit without a hold
  EXPECT_NE(std::find(blocks.begin(), blocks.end(), cache.take(160 * kMebibyte)), blocks.end());
  // A block of another size has its place in unused ones, or comes in their place.
  void* other = cache.take(400 * kMebibyte);
  EXPECT_LE(cache.unused_bytes(), (1600 - 160 - 400) * kMebibyte);
  cache.put(other);
  cache.hold();
  cache.let_go();
  EXPECT_GT(cache.unused_bytes(), 1024 * kMebibyte);
  cache.let_go();
  EXPECT_LE(cache.unused_bytes(), 1024 * kMebibyte);
  cache.put(outside);
}

TEST(BlockCaches, of_one_pass_keep_what_it_used_or_the_usual_limit) {
  constexpr size_t kMebibyte = size_t(1) << 20;
  BlockCache cache;
  cache.put(cache.take(700 * kMebibyte));
  cache.hold(BlockCache::Hold::pass);
  // What was there before is still there for the pass.
  cache.put(cache.take(2 * kMebibyte));
  EXPECT_GE(cache.unused_bytes(), 700 * kMebibyte);
  std::vector<void*> blocks;
  for (int i = 0; i < 10; ++i) blocks.push_back(cache.take(160 * kMebibyte));
  for (void* block : blocks) cache.put(block);
  EXPECT_GE(cache.unused_bytes(), 1600 * kMebibyte);
  // Steps are stricter, whatever passes they hold within.
  cache.hold();
  cache.take(100 * kMebibyte);
  EXPECT_LE(cache.unused_bytes(), 1500 * kMebibyte);
  cache.let_go();
  cache.let_go(BlockCache::Hold::pass);
  EXPECT_LE(cache.unused_bytes(), 1024 * kMebibyte);
  EXPECT_GT(cache.unused_bytes(), 0);
  cache.release();
  EXPECT_EQ(cache.unused_bytes(), 0);
}

#if defined(__GLIBC__)
size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  size_t all = 0, resident = 0;
  file >> all >> resident;
  return resident * size_t(sysconf(_SC_PAGESIZE));
}

TEST(BlockCaches, tell_whether_mallocs_holes_are_worth_giving_back) {
  constexpr size_t kMebibyte = size_t(1) << 20;
  set_up_malloc();
  const auto given_back = [&](size_t used) {
    block_cache().hold();
    block_cache().put(block_cache().take(used));
    std::vector<std::vector<char>> blocks;
    for (int i = 0; i < 2000; ++i) blocks.emplace_back(64 << 10, 'x');
    for (size_t i = 0; i + 1 < blocks.size(); i += 2) std::vector<char>().swap(blocks[i]);
    const size_t before = resident_bytes();
    trim_malloc();
    const size_t after = resident_bytes();
    block_cache().let_go();
    return before > after ? before - after : 0;
  };
  EXPECT_LT(given_back(100 * kMebibyte), 5 * kMebibyte);
  EXPECT_GT(given_back(600 * kMebibyte), 30 * kMebibyte);
}
#endif

// Blocks that are used at one time never overlap, keep what is written to them, and with the unused ones take
// what was used at the peak and no more, whatever the order of sizes.
TEST(BlockCaches, divide_and_join_their_memory) {
  constexpr size_t kKibibyte = 1024;
  Rng rng(5);
  BlockCache cache;
  cache.hold();
  struct Taken {
    uint8_t* memory;
    size_t bytes;
    uint8_t mark;
  };
  std::vector<Taken> taken;
  size_t used = 0, most = 0;
  const auto rounded = [](size_t bytes) {
    return (bytes + 64 * kKibibyte - 1) / (64 * kKibibyte) * 64 * kKibibyte;
  };
  for (int step = 0; step < 4000; ++step) {
    if (taken.size() < 3 || (rng() % 2 == 0 && used < 300 * kKibibyte * kKibibyte)) {
      const size_t bytes =
          (rng() % 3 == 0 ? rng() % (40 * kKibibyte) : rng() % (2 * kKibibyte)) * kKibibyte + 1;
      auto* memory = static_cast<uint8_t*>(cache.take(bytes));
      ASSERT_NE(memory, nullptr);
      const auto mark = uint8_t(step);
      memory[0] = memory[bytes / 2] = memory[bytes - 1] = mark;
      taken.push_back({memory, bytes, mark});
      used += rounded(bytes);
      most = std::max(most, used);
    } else {
      const size_t i = rng() % taken.size();
      const Taken t = taken[i];
      ASSERT_EQ(t.memory[0], t.mark);
      ASSERT_EQ(t.memory[t.bytes / 2], t.mark);
      ASSERT_EQ(t.memory[t.bytes - 1], t.mark);
      taken[i] = taken.back();
      taken.pop_back();
      cache.put(t.memory);
      used -= rounded(t.bytes);
    }
    // Windows gives a block whole, for at least 4/5 of its size.
    ASSERT_LE(used + cache.unused_bytes(), most * 5 / 4);
  }
  for (const Taken& t : taken) cache.put(t.memory);
  cache.let_go();
  EXPECT_LE(cache.unused_bytes(), most * 5 / 4);
}

#if !defined(_WIN32)
TEST(BlockCaches, serve_other_sizes_from_what_they_have) {
  constexpr size_t kMebibyte = size_t(1) << 20;
  BlockCache cache;
  cache.hold();
  auto* whole = static_cast<char*>(cache.take(48 * kMebibyte));
  cache.put(whole);
  std::vector<char*> parts;
  for (int i = 0; i < 4; ++i) parts.push_back(static_cast<char*>(cache.take(12 * kMebibyte)));
  EXPECT_EQ(cache.unused_bytes(), 0);
  for (char* part : parts) EXPECT_TRUE(part >= whole && part + 12 * kMebibyte <= whole + 48 * kMebibyte);
  for (char* part : parts) cache.put(part);
  EXPECT_EQ(cache.take(48 * kMebibyte), whole);
}
#endif

}  // namespace
}  // namespace longformer::test
