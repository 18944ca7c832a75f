// add_layer_norm's CUDA kernel against float64, in the emulation.
#include <gtest/gtest.h>

#include "../ops/cuda/layer_norm_kernel.h"
#include "cuda_emulation/emulated_kernels.h"
#include "kernels_tensors.h"

using namespace longformer;
using namespace longformer::test;

namespace {

TEST(CudaLayerNorm, equals_float64_also_into_its_own_input) {
  reseed(5);
  for (ScalarType type : {kFloat, kBFloat16, kHalf})
    for (int64_t columns : {8, 256, 768})
      for (bool two : {false, true}) {
        SCOPED_TRACE(name_of(type) + " columns " + std::to_string(columns) + (two ? " residual" : ""));
        const auto random = [&](IntList shape) { return (randn(shape) * 2.0).add(0.5).to(type); };
        const Tensor x = random({2, 5, columns}), r = two ? random({2, 5, columns}) : Tensor(),
                     w = random({columns}), b = random({columns}), out = empty_like(x);
        ASSERT_TRUE(cuda::norm_serves(x, r, w, b));
        EmulatedLauncher launcher(1);
        cuda::norm_into(x, r, w, b, 1e-5, out, launcher);
        const Tensor sum = two ? x.to(kDouble) + r.to(kDouble) : x.to(kDouble);
        const Tensor exact = layer_norm(sum, w.to(kDouble), b.to(kDouble), 1e-5);
        const double limit = type == kFloat ? 2e-5 : type == kHalf ? 1e-2 : 6e-2;
        EXPECT_LE(largest_difference(out, exact), limit);
        cuda::norm_into(x, r, w, b, 1e-5, x, launcher);
        EXPECT_TRUE(equal(x, out));
      }
}

TEST(CudaLayerNorm, rows_that_are_no_whole_chunks_are_left_to_libtorch) {
  const Tensor x = ones({3, 10}, kFloat), w = ones({10}, kFloat);
  EXPECT_FALSE(cuda::norm_serves(x, {}, w, w));
  EXPECT_FALSE(
      cuda::norm_serves(ones({3, 16}, kFloat), ones({16}, kFloat), ones({16}, kFloat), ones({16}, kFloat)));
  EXPECT_FALSE(cuda::norm_serves(ones({3, 16}, kDouble), {}, ones({16}, kDouble), ones({16}, kDouble)));
}

}  // namespace
