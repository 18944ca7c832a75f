// decode_attention's CUDA kernels against the definition in float64, in the emulation.
#include <gtest/gtest.h>

#include <cmath>

#include "../ops/cuda/decode_attention_kernel.h"
#include "cuda_emulation/emulated_kernels.h"
#include "kernels_tensors.h"

using namespace longformer;
using namespace longformer::test;

namespace {

// A document's keys as a slice of a longer cache, [L, H, D] of [L, 2, H, D].
struct Documents {
  TensorList key, value, mask;
  std::vector<int64_t> rows;
};

Tensor exact(const Tensor& q, const Documents& d, double scale) {
  TensorList all;
  int64_t first = 0;
  for (size_t i = 0; i < d.rows.size(); ++i) {
    Tensor s = scores_by_head(q.narrow(0, first, d.rows[i]).to(kDouble), d.key[i].to(kDouble)) * scale;
    if (d.mask[i].numel() > 0) s = s.masked_fill(d.mask[i].eq(0), -1e300);
    all.push_back(mix_by_head(s.softmax(-1), d.value[i].to(kDouble)));
    first += d.rows[i];
  }
  return cat(all, 0);
}

TEST(CudaDecode, equals_float64_for_documents_of_any_length_and_mask) {
  reseed(3);
  for (ScalarType type : {kFloat, kBFloat16, kHalf})
    for (const auto& [heads, dim] :
         std::vector<std::pair<int64_t, int64_t>>{{2, 64}, {1, 12}, {3, 7}, {1, 128}}) {
      SCOPED_TRACE(name_of(type) + " dim " + std::to_string(dim));
      const auto random = [&](IntList shape) { return randn(shape, type); };
      Documents d;
      for (const auto& [keys, rows] :
           std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {300, 4}, {129, 6}, {40, 0}, {256, 2}}) {
        const Tensor both = random({keys, 2, heads, dim});
        d.key.push_back(both.select(1, 0));
        d.value.push_back(both.select(1, 1));
        d.rows.push_back(rows);
        d.mask.push_back(empty({0}, kByte));
      }
      d.mask[1] = random_mask({300}, 0.7).to(kByte);
      d.mask[2] = random_mask({6, 129}, 0.5);
      d.mask[4] = zeros({256}, kByte);  // nothing to see: the mean of all values
      const Tensor query = random({13, heads, dim});
      const double scale = 1 / std::sqrt(double(dim));
      const DecodeAttention a = check_decode_attention(query, d.key, d.value, d.rows, d.mask, scale);
      ASSERT_TRUE(cuda::serves(a));
      EmulatedLauncher launcher(1);
      const Tensor out = cuda::decode_attention(a, launcher);
      const double limit = type == kFloat ? 5e-6 : type == kHalf ? 2e-3 : 1.6e-2;
      EXPECT_LE(largest_difference(out, exact(query, d, scale)), limit);
    }
}

TEST(CudaDecode, more_documents_than_one_launch_takes) {
  reseed(4);
  Documents d;
  for (int i = 0; i < 40; ++i) {
    d.key.push_back(randn({3 + i, 1, 8}));
    d.value.push_back(randn({3 + i, 1, 8}));
    d.mask.push_back(empty({0}, kByte));
    d.rows.push_back(1);
  }
  const Tensor query = randn({40, 1, 8});
  EmulatedLauncher launcher(1);
  const Tensor out =
      cuda::decode_attention(check_decode_attention(query, d.key, d.value, d.rows, d.mask, 0.5), launcher);
  EXPECT_LE(largest_difference(out, exact(query, d, 0.5)), 5e-6);
}

}  // namespace
