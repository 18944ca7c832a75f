// _feed_forward_ against the single operators, whose result it has bit by bit where the products are ours: by
// rows of one thread each and step by step, at numbers of rows around where one takes over from the other.
#include "support.h"

namespace longformer::test {
namespace {

// Of the calls while it lives.
class Threads {
 public:
  explicit Threads(int threads) : before_(api().get_threads()) { set(threads); }
  ~Threads() { set(before_); }

 private:
  static void set(int threads) {
    EXPECT_EQ(api().set_threads(threads), LONGFORMER_OK);
    api().apply_threads();
  }
  int before_;
};

struct Layer {
  Tensor weight[3], bias[3], norm_weight[2], norm_bias[2];
  OptionalTensor packed[3];

  Layer(Rng& rng, int64_t width, int64_t inner, ScalarType type, bool packs) {
    const int64_t shapes[3][2] = {{width, width}, {inner, width}, {width, inner}};
    for (int i = 0; i < 3; ++i) {
      weight[i] = random_tensor(rng, {shapes[i][0], shapes[i][1]}, type);
      bias[i] = random_tensor(rng, {shapes[i][0]}, type);
      if (packs) packed[i] = call<Tensor>("linear_pack", weight[i]);
    }
    for (int i = 0; i < 2; ++i) {
      norm_weight[i] = random_tensor(rng, {width}, type);
      norm_bias[i] = random_tensor(rng, {width}, type);
    }
  }

  Tensor linear(int i, const Tensor& x, const char* activation) const {
    return call<Tensor>("linear", x, weight[i], OptionalTensor(bias[i]), packed[i], activation,
                        OptionalTensor());
  }
  Tensor norm(int i, const Tensor& x, const Tensor& residual, double eps) const {
    return call<Tensor>("add_layer_norm", x, OptionalTensor(residual), norm_weight[i], norm_bias[i], eps);
  }
  Tensor step_by_step(const Tensor& context, const Tensor& hidden, const char* activation) const {
    const Tensor attended = norm(0, linear(0, context, "none"), hidden, 1e-5);
    return norm(1, linear(2, linear(1, attended, activation), "none"), attended, 1e-6);
  }
  void in_place(const Tensor& context, const Tensor& hidden, const char* activation) const {
    call<void>("_feed_forward_", context, hidden, weight[0], OptionalTensor(bias[0]), packed[0],
               norm_weight[0], norm_bias[0], 1e-5, weight[1], OptionalTensor(bias[1]), packed[1], activation,
               weight[2], OptionalTensor(bias[2]), packed[2], norm_weight[1], norm_bias[1], 1e-6);
  }
};

TEST(FeedForward, equals_the_single_operators_bit_by_bit) {
  Rng rng(1);
  for (const ScalarType type : {kFloat, kBFloat16, kHalf, kDouble})
    for (const bool packs : {true, false}) {
      const Layer layer(rng, 48, 200, type, packs);
      for (const int64_t rows : {0, 1, 40, 127, 128, 300, 1100})
        for (const int threads : {1, 2, 3}) {
          SCOPED_TRACE(text(type, packs ? " packed " : " plain ", rows, " rows, ", threads, " threads"));
          const Threads chosen(threads);
          const Tensor context = random_tensor(rng, {rows, 48}, type),
                       hidden = random_tensor(rng, {rows, 48}, type);
          const Tensor expected = rows == 0 ? context.clone() : layer.step_by_step(context, hidden, "gelu");
          layer.in_place(context, hidden, "gelu");
          // libtorch, which multiplies float64, rounds differently with the number of rows.
          EXPECT_LE(max_difference(context, expected), type == kDouble ? 1e-13 : 0);
        }
    }
}

TEST(FeedForward, cuts_a_wide_product_and_takes_any_activation) {
  Rng rng(2);
  const Layer layer(rng, 200, 2300, kFloat, true);  // the sums of 84 rows do not fit the cache
  for (const char* activation : {"none", "relu", "gelu_tanh", "tanh"}) {
    const Tensor context = random_tensor(rng, {260, 200}, kFloat),
                 hidden = random_tensor(rng, {260, 200}, kFloat);
    const Tensor expected = layer.step_by_step(context, hidden, activation);
    layer.in_place(context, hidden, activation);
    EXPECT_EQ(max_difference(context, expected), 0);
  }
}

TEST(FeedForward, refuses_what_does_not_fit) {
  Rng rng(3);
  const Layer layer(rng, 16, 32, kFloat, false);
  const Tensor context = random_tensor(rng, {4, 16}, kFloat), other = random_tensor(rng, {5, 16}, kFloat);
  EXPECT_NE(value_error([&] {
              layer.in_place(context, other, "gelu");
            }).find("longformer::_feed_forward_: context and hidden must be [N, C]"),
            std::string::npos);
  EXPECT_NE(value_error([&] { layer.in_place(context, context, "gelu"); }).find("memory"), std::string::npos);
  EXPECT_NE(value_error([&] { layer.in_place(context, other.narrow(0, 0, 4), "cube"); }).find("activation"),
            std::string::npos);
}

}  // namespace
}  // namespace longformer::test
