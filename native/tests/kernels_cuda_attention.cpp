// The CUDA attention kernels against the definition in double precision, on the CPU: the kernels' own text, compiled by
// the C++ compiler, in an emulation that checks every access (cuda_emulation/).
#include <gtest/gtest.h>

#include <limits>

#include "../ops/cuda/attention.h"
#include "cuda_emulation/emulated_kernels.h"
#include "kernels_cases.h"

using namespace longformer;
using namespace longformer::test;

namespace {

constexpr int kSmall = 1, kLarge = 10000;  // multiprocessors: blocks of many rows, of few

struct Results {
  BandedForward forward;
  BandedBackward backward;
};

Results run(const BandedAttention& a, const at::Tensor& grad, int multiprocessors, uint64_t seed = 1) {
  EmulatedLauncher launcher(multiprocessors, seed);
  const auto known = [&](const at::Tensor& t, const char* name) { launcher.touches(t, name, false); };
  known(a.q, "query");
  Results r;
  r.forward = cuda::banded_forward(a, launcher);
  r.backward = cuda::banded_backward(a, grad, r.forward.out, r.forward.lse, launcher);
  return r;
}

void compare(const Case& c, const Results& r, const Oracle& expected, const Limits& forward, const Limits& backward) {
  const double more = c.spread > 2 ? 20 : 1;
  expect_close(r.forward.out, expected.out, {forward.atol * more, forward.rtol * more}, "out");
  expect_close(r.forward.lse, expected.lse, {1e-6, 1e-6}, "lse");
  const Limits limits = {backward.atol * more, backward.rtol * more};
  expect_close(r.backward.grad_q, expected.grad_q, limits, "grad_q");
  expect_close(r.backward.grad_k, expected.grad_k, limits, "grad_k");
  expect_close(r.backward.grad_v, expected.grad_v, limits, "grad_v");
}

at::Tensor gradient_of(const BandedAttention& a) {
  at::manual_seed(2);
  return at::randn(a.q.sizes(), at::kDouble).to(a.q.scalar_type());
}

void compare_all(at::ScalarType type, const std::vector<int64_t>& padded_dims, const Limits& forward, const Limits& backward) {
  for (const Case& c : attention_cases()) {
    const int64_t padded = (c.dim + 31) / 32 * 32;
    if (c.lengths[0] > 1000 || std::find(padded_dims.begin(), padded_dims.end(), padded) == padded_dims.end()) continue;
    const BandedAttention a = make(c, type);
    const at::Tensor grad = gradient_of(a);
    const Oracle expected = oracle(a, grad);
    for (int multiprocessors : {kSmall, kLarge}) {
      SCOPED_TRACE(std::string(c.name) + " multiprocessors " + std::to_string(multiprocessors));
      compare(c, run(a, grad, multiprocessors), expected, forward, backward);
    }
  }
}

TEST(CudaAttention, float32_equals_the_definition) {
  compare_all(at::kFloat, {32, 64, 128}, {2e-6, 1e-5}, {4e-6, 2e-5});
}
TEST(CudaAttention, bfloat16_equals_the_definition) {
  compare_all(at::kBFloat16, {32, 64, 96, 128}, {8e-3, 8e-3}, {2e-2, 2e-2});
}
TEST(CudaAttention, float16_equals_the_definition) {
  compare_all(at::kHalf, {64}, {1e-3, 1e-3}, {3e-3, 3e-3});
}

}  // namespace
