// add_layer_norm's CUDA kernel against float64, in the emulation.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "../ops/cuda/layer_norm.h"
#include "cuda_emulation/emulated_kernels.h"

using namespace longformer;
using namespace longformer::test;

namespace {

TEST(CudaLayerNorm, equals_float64_also_into_its_own_input) {
  at::manual_seed(5);
  for (at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf})
    for (int64_t columns : {8, 256, 768})
      for (bool two : {false, true}) {
        SCOPED_TRACE(std::string(at::toString(type)) + " columns " + std::to_string(columns) +
                     (two ? " residual" : ""));
        const auto random = [&](at::IntArrayRef shape) { return (at::randn(shape) * 2 + 0.5).to(type); };
        const at::Tensor x = random({2, 5, columns}), r = two ? random({2, 5, columns}) : at::Tensor(),
                         w = random({columns}), b = random({columns}), out = at::empty_like(x);
        ASSERT_TRUE(cuda::norm_serves(x, r, w, b));
        EmulatedLauncher launcher(1);
        cuda::norm_into(x, r, w, b, 1e-5, out, launcher);
        const at::Tensor sum = two ? x.to(at::kDouble) + r.to(at::kDouble) : x.to(at::kDouble);
        const at::Tensor exact = at::layer_norm(sum, {columns}, w.to(at::kDouble), b.to(at::kDouble), 1e-5);
        const double limit = type == at::kFloat ? 2e-5 : type == at::kHalf ? 1e-2 : 6e-2;
        EXPECT_LE((out.to(at::kDouble) - exact).abs().max().item<double>(), limit);
        cuda::norm_into(x, r, w, b, 1e-5, x, launcher);
        EXPECT_TRUE(at::equal(x, out));
      }
}

TEST(CudaLayerNorm, rows_that_are_no_whole_chunks_are_left_to_libtorch) {
  const at::Tensor x = at::ones({3, 10}), w = at::ones({10});
  EXPECT_FALSE(cuda::norm_serves(x, {}, w, w));
  EXPECT_FALSE(cuda::norm_serves(at::ones({3, 16}), at::ones({16}), at::ones({16}), at::ones({16})));
  EXPECT_FALSE(cuda::norm_serves(at::ones({3, 16}, at::kDouble), {}, at::ones({16}, at::kDouble),
                                 at::ones({16}, at::kDouble)));
}

}  // namespace
