// Tensors of another device than the CPU, as far as the meta device, which has shapes and no memory, can
// take its place: what is made for them is made there, and a number joins them where they are.
#include <gtest/gtest.h>

#include "../torch/cuda.h"
#include "kernels_tensors.h"

namespace longformer::test {
namespace {

constexpr Device kElsewhere{DeviceType::meta, -1};

TEST(AnotherDevice, counts_by_itself_and_takes_numbers) {
  const Tensor count = arange(3, 8, kElsewhere);
  EXPECT_TRUE(count.is_meta());
  EXPECT_EQ(count.scalar_type(), kLong);
  EXPECT_EQ(count.sizes(), IntList({5}));
  EXPECT_EQ(arange(0, kElsewhere).sizes(), IntList({0}));
  for (const Tensor& t : {count.add(int64_t{7}), count.mul(int64_t{7}), count + count, count.bitwise_and(1),
                          count.remainder(3)}) {
    EXPECT_TRUE(t.is_meta());
    EXPECT_EQ(t.scalar_type(), kLong);
    EXPECT_EQ(t.sizes(), count.sizes());
  }
  for (const Tensor& t : {count.lt(4), count.eq(4)}) EXPECT_TRUE(t.is_meta() && t.scalar_type() == kBool);
}

TEST(AnotherDevice, drops_hidden_states_and_probabilities_there) {
  const Tensor at = arange(6, kElsewhere).view({2, 3});
  EXPECT_TRUE(dropout_mask(5, at, at, at, 0.5).is_meta());
}

// linear as on a GPU; libtorch computes it so on any device.
TEST(AnotherDevice, libtorch_writes_a_product_into_given_memory) {
  const Tensor x = randn({5, 7}), w = randn({3, 7}), b = randn({3});
  for (const Tensor& bias : {b, Tensor()}) {
    const Tensor out = full({5, 3}, 9, kFloat);
    void* const memory = out.data_ptr();
    torch::linear_into(out, x, w, bias);
    EXPECT_EQ(out.data_ptr(), memory);
    const Tensor product = matmul(x.to(kDouble), w.to(kDouble).t());
    EXPECT_LT(max_difference(out, bias.defined() ? product + bias.to(kDouble) : product), 1e-5);
  }
}

TEST(AnotherDevice, a_libtorch_without_cuda_says_so) {
  if (torch::has_cuda()) GTEST_SKIP() << "this libtorch has CUDA";
  EXPECT_FALSE(torch::cuda_linear_gelu(randn({2, 2}), randn({2, 2}), randn({2})).defined());
  expect_words(any_error([] { torch::current_cuda_stream(0); }), {"libtorch with CUDA", "libtorch_cuda"});
}

}  // namespace
}  // namespace longformer::test
