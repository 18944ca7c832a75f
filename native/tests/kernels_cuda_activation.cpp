// The activations' CUDA kernel against libtorch's operators in float64, in the emulation.
#include <gtest/gtest.h>

#include <cmath>

#include "../ops/cuda/activation.h"
#include "../ops/cuda/activation_kernel.h"
#include "cuda_emulation/emulated_kernels.h"
#include "kernels_tensors.h"

using namespace longformer;
using namespace longformer::test;

namespace {

constexpr Activation kFunctions[] = {Activation::none, Activation::gelu, Activation::gelu_tanh,
                                     Activation::relu, Activation::tanh, Activation::silu};

TEST(CudaActivation, equals_float64_forward_and_backward_at_any_length) {
  reseed(11);
  for (ScalarType type : {kFloat, kBFloat16, kHalf})
    for (Activation function : kFunctions)
      for (int64_t count : {1, 7, 8, 2051, 4096}) {
        SCOPED_TRACE(name_of(type) + " function " + std::to_string(static_cast<int>(function)) + " count " +
                     std::to_string(count));
        const Tensor x = (randn({count}) * 3.0).to(type), g = randn({count}).to(type);
        ASSERT_TRUE(cuda::activation_serves(x));
        EmulatedLauncher launcher(1);
        const double limit = type == kFloat ? 2e-6 : type == kHalf ? 4e-3 : 4e-2;
        EXPECT_LE(largest_difference(cuda::activate(x, {}, function, launcher),
                                     activate_by_aten(x.to(kDouble), function)),
                  limit);
        EXPECT_LE(largest_difference(cuda::activate(x, g, function, launcher),
                                     activate_backward_by_aten(g.to(kDouble), x.to(kDouble), function)),
                  limit);
      }
}

TEST(CudaActivation, takes_views_and_keeps_their_shape_and_NaN) {
  const Tensor whole = randn({5, 9, 3}), view = whole.transpose(0, 2).narrow(1, 1, 8);
  EmulatedLauncher launcher(1);
  const Tensor out = cuda::activate(view, {}, Activation::gelu, launcher);
  EXPECT_EQ(out.sizes(), IntList({3, 8, 5}));
  EXPECT_LE(largest_difference(out, activate_by_aten(view.to(kDouble), Activation::gelu)), 2e-6);
  for (Activation function : kFunctions)
    EXPECT_TRUE(
        std::isnan(cuda::activate(full({1}, NAN, kFloat), {}, function, launcher).data_ptr<float>()[0]));
}

TEST(CudaActivation, float64_is_left_to_libtorch) {
  EXPECT_FALSE(cuda::activation_serves(ones({3}, kDouble)));
}

}  // namespace
