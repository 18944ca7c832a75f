// banded_attention of bfloat16 by products of pairs, where the processor has them: what rounding leaves
// beside a plain pass in bfloat16, and beside the kernels that multiply in float32.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "../ops/banded_attention.h"
#include "kernels_isa.h"

using namespace longformer;
using namespace longformer::test;

namespace {

// By vectors of pairs and by whole tiles of them, where the processor has them.
std::vector<std::string> sets_with_pairs() {
  std::vector<std::string> names;
  for (const std::string& name : cpu::instruction_sets())
    if (name == "amx" || (name == "avx512" && cpu::has_bfloat16_products())) names.push_back(name);
  return names;
}

using Pairs = OfInstructionSet;

struct Named {
  const char* name;
  Tensor value;
};
std::vector<Named> named(const Result& r) {
  return {{"output", r.out},
          {"gradient of query", r.grad_q},
          {"gradient of key", r.grad_k},
          {"gradient of value", r.grad_v}};
}

// By the kernel itself, which takes packed tensors.
Result fused(const Problem& p, bool pairs) {
  BandedAttention a;
  const int64_t tokens = p.tokens();
  const auto packed = [&](const Tensor& t) { return t.reshape({tokens, p.heads, p.dim}); };
  a.q = packed(p.q);
  a.k = packed(p.k);
  a.v = packed(p.v);
  a.offsets = p.offsets();
  if (p.mask.defined()) a.visible = p.mask.reshape({tokens}).ne(0).to(kByte);
  if (p.global_index.defined() && p.global_index.size(1) > 0) a.global_index = p.global_index.contiguous();
  a.window_left = p.window_left;
  a.window_right = p.window_right;
  for (int64_t h = 0; h < p.heads; ++h) a.dilation.push_back(p.dilation_of(h));
  a.scale = p.scale_value();
  a.dropout = p.dropout;
  a.seed = p.seed;
  a.bfloat16_products = pairs;
  const BandedForward f = banded_attention_fused_cpu(a);
  const BandedBackward g = banded_attention_fused_cpu_backward(a, packed(p.grad_out), f.out, f.lse);
  const auto shaped = [&](const Tensor& t) { return t.reshape(p.q.sizes()); };
  return {shaped(f.out), f.lse, shaped(g.grad_q), shaped(g.grad_k), shaped(g.grad_v)};
}

double root_mean_square_error(const Tensor& x, const Tensor& truth) {
  const Doubles a = values(x), b = values(truth);
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum / double(a.size()));
}

// Long rows, with values about zero and about a mean that all tokens share.
TEST_P(Pairs, err_no_more_than_a_plain_pass_in_bfloat16) {
  for (const double mean : {0.0, 3.0})
    for (const double dropout : {0.0, 0.2})
      for (const double deviation : {0.3, 2.0}) {
        Problem p;
        p.packed = true;
        p.lengths = {700};
        p.heads = 1;
        p.dim = 64;
        p.window_left = p.window_right = 256;
        p.dropout = dropout;
        Rng rng(3);
        fill(p, rng, kFloat);
        p.q = (p.q * (deviation / 2.0)).to(kBFloat16);
        p.k = p.k.to(kBFloat16);
        p.v = (p.v + full(p.v.sizes(), mean, kFloat)).to(kBFloat16);
        p.grad_out = p.grad_out.to(kBFloat16);
        const Result truth = dense(p, kDouble), plain = dense(p, kBFloat16), narrow = fused(p, true),
                     wide = fused(p, false);
        for (size_t i = 0; i < named(truth).size(); ++i) {
          const auto error_of = [&](const Result& r) {
            return root_mean_square_error(named(r)[i].value, named(truth)[i].value);
          };
          // A gradient of queries under a mean has the rounding of the saved output, whatever multiplies.
          EXPECT_LT(error_of(narrow), std::max(error_of(plain), 1.1 * error_of(wide)))
              << named(truth)[i].name << ", mean " << mean << ", dropout " << dropout << ", deviation "
              << deviation;
        }
      }
}

// What the float32 kernels give, for every option, but for the rounding of products' factors.
TEST_P(Pairs, equal_the_products_in_float32_but_for_rounding) {
  for (uint64_t seed = 0; seed < 150; ++seed) {
    const Problem p = random_problem(seed + 70000, kBFloat16);
    SCOPED_TRACE(p.describe() + ", seed " + std::to_string(seed));
    const Result narrow = fused(p, true), wide = fused(p, false), truth = dense(p, kDouble);
    EXPECT_LE(max_difference(narrow.lse, wide.lse), 2e-5);
    const double terms[] = {0, truth.terms_of_grad_q, truth.terms_of_grad_k, 0};
    for (size_t i = 0; i < named(narrow).size(); ++i) {
      const Tensor x = named(narrow)[i].value, y = named(wide)[i].value;
      EXPECT_LE(max_difference(x, y), 0x1p-7 * std::max({max_magnitude(y), terms[i], 1e-3}))
          << named(narrow)[i].name;
    }
    if (HasFailure()) FAIL();
  }
}

// A row of rounded probabilities is divided by their sum, so that what all values share stays what it is.
TEST_P(Pairs, leave_a_value_that_all_tokens_share_as_it_is) {
  Problem p;
  p.packed = true;
  p.lengths = {333, 64};
  p.dim = 16;
  p.window_left = 77;
  p.window_right = 41;
  Rng rng(4);
  fill(p, rng, kBFloat16);
  p.v = ones(p.v.sizes(), p.v.options());
  EXPECT_TRUE(equal(fused(p, true).out, p.v));
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Pairs);
INSTANTIATE_TEST_SUITE_P(Isa, Pairs, testing::ValuesIn(sets_with_pairs()),
                         [](const testing::TestParamInfo<std::string>& i) { return i.param; });

}  // namespace
