// Tensors of another device than the CPU, as far as the meta device, which has shapes and no memory, can stand in for it: what is made for
// them is made there, and a number joins them where they are.
#include <gtest/gtest.h>

#include "support.h"

namespace longformer::test {
namespace {

constexpr Device kElsewhere{DeviceType::meta, -1};

TEST(AnotherDevice, counts_by_itself_and_takes_numbers) {
  const Tensor count = arange(3, 8, kElsewhere);
  EXPECT_TRUE(count.is_meta());
  EXPECT_EQ(count.scalar_type(), kLong);
  EXPECT_EQ(count.sizes(), IntList({5}));
  EXPECT_EQ(arange(0, kElsewhere).sizes(), IntList({0}));
  for (const Tensor& t : {count.add(int64_t{7}), count.mul(int64_t{7}), count + count, count.bitwise_and(1), count.remainder(3)}) {
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

}  // namespace
}  // namespace longformer::test
