// decode_attention's CUDA kernels against the definition in float64, in the emulation.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "../ops/cuda/decode.h"
#include "cuda_emulation/emulated_kernels.h"

using namespace longformer;
using namespace longformer::test;

namespace {

// A document's keys as a slice of a longer cache, [L, H, D] of [L, 2, H, D].
struct Documents {
  std::vector<at::Tensor> key, value, mask;
  std::vector<int64_t> rows;
};

at::Tensor exact(const at::Tensor& q, const Documents& d, double scale) {
  std::vector<at::Tensor> all;
  int64_t first = 0;
  for (size_t i = 0; i < d.rows.size(); ++i) {
    at::Tensor s = at::einsum("rhd,lhd->hrl",
                              {q.narrow(0, first, d.rows[i]).to(at::kDouble), d.key[i].to(at::kDouble)}) *
                   scale;
    if (d.mask[i].numel() > 0) s = s.masked_fill(d.mask[i].eq(0), -1e300);
    all.push_back(at::einsum("hrl,lhd->rhd", {s.softmax(-1), d.value[i].to(at::kDouble)}));
    first += d.rows[i];
  }
  return at::cat(all, 0);
}

TEST(CudaDecode, equals_float64_for_documents_of_any_length_and_mask) {
  at::manual_seed(3);
  for (at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf})
    for (const auto& [heads, dim] :
         std::vector<std::pair<int64_t, int64_t>>{{2, 64}, {1, 12}, {3, 7}, {1, 128}}) {
      SCOPED_TRACE(std::string(at::toString(type)) + " dim " + std::to_string(dim));
      const auto random = [&](at::IntArrayRef shape) { return at::randn(shape).to(type); };
      Documents d;
      for (const auto& [keys, rows] :
           std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {300, 4}, {129, 6}, {40, 0}, {256, 2}}) {
        const at::Tensor both = random({keys, 2, heads, dim});
        d.key.push_back(both.select(1, 0));
        d.value.push_back(both.select(1, 1));
        d.rows.push_back(rows);
        d.mask.push_back(at::empty({0}, at::kByte));
      }
      d.mask[1] = (at::rand({300}) < 0.7).to(at::kByte);
      d.mask[2] = (at::rand({6, 129}) < 0.5);
      d.mask[4] = at::zeros({256}, at::kByte);  // nothing to see: the mean of all values
      const at::Tensor query = random({13, heads, dim});
      const double scale = 1 / std::sqrt(double(dim));
      const DecodeAttention a = check_decode_attention(query, d.key, d.value, d.rows, d.mask, scale);
      ASSERT_TRUE(cuda::serves(a));
      EmulatedLauncher launcher(1);
      const at::Tensor out = cuda::decode_attention(a, launcher);
      const double limit = type == at::kFloat ? 5e-6 : type == at::kHalf ? 2e-3 : 1.6e-2;
      EXPECT_LE((out.to(at::kDouble) - exact(query, d, scale)).abs().max().item<double>(), limit);
    }
}

TEST(CudaDecode, more_documents_than_one_launch_takes) {
  at::manual_seed(4);
  Documents d;
  for (int i = 0; i < 40; ++i) {
    d.key.push_back(at::randn({3 + i, 1, 8}));
    d.value.push_back(at::randn({3 + i, 1, 8}));
    d.mask.push_back(at::empty({0}, at::kByte));
    d.rows.push_back(1);
  }
  const at::Tensor query = at::randn({40, 1, 8});
  EmulatedLauncher launcher(1);
  const at::Tensor out =
      cuda::decode_attention(check_decode_attention(query, d.key, d.value, d.rows, d.mask, 0.5), launcher);
  EXPECT_LE((out.to(at::kDouble) - exact(query, d, 0.5)).abs().max().item<double>(), 5e-6);
}

}  // namespace
