// What the tests share: calls of the registered operators, random problems, and a dense evaluation of the
// definition in banded_attention.h that owes nothing to the library.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>
#include <random>
#include <string>
#include <vector>

#include "operators.h"

namespace longformer::test {

using Rng = std::mt19937_64;

// A problem with its options; tensors are [B, T, H, D] or packed [N, H, D].
struct Problem {
  std::vector<int64_t> lengths;
  bool packed = false;
  int64_t heads = 2, dim = 8, window_left = 2, window_right = 2;
  c10::optional<std::vector<int64_t>> dilation;
  at::Tensor mask, global_index;  // undefined: not given
  c10::optional<double> scale;
  double dropout = 0.0;
  int64_t seed = 0;
  at::Tensor q, k, v, grad_out;

  std::vector<int64_t> offsets() const;  // S+1, also of a batch
  int64_t tokens() const { return offsets().back(); }
  double scale_value() const;
  std::string describe() const;
};

struct Result {
  at::Tensor out, lse, grad_q, grad_k, grad_v;  // in the shape of the problem
  // Of dense: how large the gradients' terms are before they cancel (a row that sees one key has none left).
  double terms_of_grad_q = 0.0, terms_of_grad_k = 0.0;
};

// Normal random numbers in double, rounded to the type.
at::Tensor random_tensor(Rng& rng, at::IntArrayRef shape, at::ScalarType type, double deviation = 1.0);
int64_t uniform(Rng& rng, int64_t low, int64_t high);  // both included

// Fills q, k, v and grad_out; q wide enough that attention is far from uniform.
void fill(Problem& p, Rng& rng, at::ScalarType type);
// Every option drawn at random, its corner cases often.
Problem random_problem(uint64_t seed, at::ScalarType type);

// bool [H, L, L] of one sequence, by scalar loops over the definition.
at::Tensor allowed_keys(const Problem& p, size_t sequence);
// 0 or 1/(1-p), [H, L, L] in double.
at::Tensor dropout_factor(const Problem& p, size_t sequence);

// Dense attention with ATen's own gradients. With type float64 the truth; with the problem's own type what a
// plain model makes of it, every intermediate result rounded to that type.
Result dense(const Problem& p, at::ScalarType type);

BandedOptions options_of(const Problem& p, const std::vector<int64_t>& offsets,
                         const std::string& implementation);
// The operator's output and its gradients, through autograd.
Result run(const Problem& p, const std::string& implementation);
std::tuple<at::Tensor, at::Tensor> forward(const Problem& p, const std::string& implementation);

// The registered operators.
std::tuple<at::Tensor, at::Tensor> banded_attention(const at::Tensor& q, const at::Tensor& k,
                                                    const at::Tensor& v, const BandedOptions& options);
std::tuple<at::Tensor, at::Tensor, at::Tensor> banded_attention_backward(
    const at::Tensor& grad_out, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
    const at::Tensor& out, const at::Tensor& lse, const BandedOptions& options);
at::Tensor banded_probabilities(const Problem& p);
at::Tensor global_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const at::Tensor& index, const GlobalOptions& options = {});
at::Tensor global_probabilities(const at::Tensor& q, const at::Tensor& k, const at::Tensor& index,
                                const GlobalOptions& options = {});
at::Tensor folded_global_attention(const at::Tensor& q, const at::Tensor& hidden,
                                   const at::Tensor& key_weight, const c10::optional<at::Tensor>& key_bias,
                                   const at::Tensor& value_weight,
                                   const c10::optional<at::Tensor>& value_bias, const at::Tensor& index,
                                   const GlobalOptions& options = {});

// The largest difference, in double; equal infinities differ by 0, a NaN by infinity.
double max_difference(const at::Tensor& x, const at::Tensor& y);
double max_magnitude(const at::Tensor& x);
// The error of x is at most twice the baseline's (both against the truth), or rounding of the type in terms
// of that size.
::testing::AssertionResult as_good_as(const at::Tensor& x, const at::Tensor& baseline,
                                      const at::Tensor& truth, at::ScalarType type, double terms = 0.0);
// What the work throws as c10::ValueError; empty where it throws nothing.
std::string value_error(const std::function<void()>& work);

}  // namespace longformer::test
