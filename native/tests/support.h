// Shared by the tests: tensors filled and read on the host, random problems, and a dense evaluation of the
// definition in banded_attention.h, forward and backward by hand, that owes nothing to the library.
#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "../ops/operators.h"
#include "call.h"

namespace longformer::test {

using Rng = std::mt19937_64;
using Doubles = std::vector<double>;

// --- tensors and the host

// The elements in row-major order, of any dtype and strides.
Doubles values(const Tensor& t);
std::vector<int64_t> integers(const Tensor& t);
double item(const Tensor& t);  // of a tensor of one element
// Row-major, each value rounded to the type.
Tensor tensor_of(const Doubles& values, IntList shape, ScalarType type);
Tensor integer_tensor(const std::vector<int64_t>& values, IntList shape);  // int64
// Each value as the type has it.
Doubles rounded(const Doubles& values, ScalarType type);
int64_t count_nonzero(const Tensor& t);

// Normal random numbers in double, rounded to the type.
Tensor random_tensor(Rng& rng, IntList shape, ScalarType type, double deviation = 1.0);
// int64, from low to high, both included.
Tensor random_integers(Rng& rng, IntList shape, int64_t low, int64_t high);
int64_t uniform(Rng& rng, int64_t low, int64_t high);  // both included
bool chance(Rng& rng, double probability);

// Rows x columns, row-major: a . b, with either transposed before.
struct Matrix {
  int64_t rows = 0, columns = 0;
  Doubles data;
  Matrix() = default;
  Matrix(int64_t r, int64_t c, Doubles values) : rows(r), columns(c), data(std::move(values)) {}
  double& at(int64_t r, int64_t c) { return data[static_cast<size_t>(r * columns + c)]; }
  double at(int64_t r, int64_t c) const { return data[static_cast<size_t>(r * columns + c)]; }
};
Matrix matrix(int64_t rows, int64_t columns, double value = 0.0);
Matrix matrix_of(const Tensor& t);  // all but the last dimension together are the rows
Matrix transposed(const Matrix& m);
Matrix product(const Matrix& a, const Matrix& b);
Tensor tensor_of(const Matrix& m, IntList shape, ScalarType type = kDouble);

// --- banded attention

// A problem with its options; tensors are [B, T, H, D] or packed [N, H, D].
struct Problem {
  std::vector<int64_t> lengths;
  bool packed = false;
  int64_t heads = 2, dim = 8, window_left = 2, window_right = 2;
  std::optional<std::vector<int64_t>> dilation;
  Tensor mask, global_index;  // undefined: not given
  std::optional<double> scale;
  double dropout = 0.0;
  int64_t seed = 0;
  Tensor q, k, v, grad_out;

  std::vector<int64_t> offsets() const;  // S+1, also of a batch
  int64_t tokens() const { return offsets().back(); }
  int64_t dilation_of(int64_t head) const;
  double scale_value() const;
  std::string describe() const;
};

struct Result {
  Tensor out, lse, grad_q, grad_k, grad_v;  // in the shape of the problem
  // Of dense: how large the gradients' terms are before they cancel (a row that sees one key has none left).
  double terms_of_grad_q = 0.0, terms_of_grad_k = 0.0;
};

// Fills q, k, v and grad_out; q wide enough that attention is far from uniform.
void fill(Problem& p, Rng& rng, ScalarType type);
// Every option drawn at random, its corner cases often.
Problem random_problem(uint64_t seed, ScalarType type);
// A small problem in float64 that uses every option.
Problem small_problem();

// [H, L, L] of one sequence, by scalar loops over the definition: nonzero where the query sees the key.
std::vector<char> allowed_keys(const Problem& p, size_t sequence);
// 0 or 1/(1-p), [H, L, L].
Doubles dropout_factor(const Problem& p, size_t sequence);

// Dense attention and its gradients by hand. With type float64 the truth; with the problem's own type what a
// plain model makes of it, every intermediate result rounded to that type.
Result dense(const Problem& p, ScalarType type);
// The dense probabilities [L, L] of one head of one sequence, in float64, without dropout.
Matrix dense_probabilities(const Problem& p, size_t sequence, int64_t head);

BandedOptions options_of(const Problem& p, const std::vector<int64_t>& offsets,
                         const std::string& implementation);
// The operator's output and its gradients, from the backward operator.
Result run(const Problem& p, const std::string& implementation, Way way = Way::direct);
std::tuple<Tensor, Tensor> forward(const Problem& p, const std::string& implementation,
                                   Way way = Way::direct);

// --- the registered operators

std::tuple<Tensor, Tensor> banded_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                            const BandedOptions& options, Way way = Way::direct);
std::tuple<Tensor, Tensor, Tensor> banded_attention_backward(const Tensor& grad_out, const Tensor& q,
                                                             const Tensor& k, const Tensor& v,
                                                             const Tensor& out, const Tensor& lse,
                                                             const BandedOptions& options,
                                                             Way way = Way::direct);
Tensor banded_probabilities(const Problem& p, Way way = Way::direct);
Tensor global_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& index,
                        const GlobalOptions& options = {}, Way way = Way::direct);
Tensor global_probabilities(const Tensor& q, const Tensor& k, const Tensor& index,
                            const AttentionOptions& options = {}, Way way = Way::direct);
Tensor folded_global_attention(const Tensor& q, const Tensor& hidden, const Tensor& key_weight,
                               const OptionalTensor& key_bias, const Tensor& value_weight,
                               const OptionalTensor& value_bias, const Tensor& index,
                               const GlobalOptions& options = {}, Way way = Way::direct);

// --- comparing

// The largest difference, in double; equal infinities differ by 0, a NaN by infinity, as do other shapes.
double max_difference(const Tensor& x, const Tensor& y);
double max_magnitude(const Tensor& x);
// The error of x is at most twice the baseline's (both against the truth), or rounding of the type in terms
// of that size.
::testing::AssertionResult as_good_as(const Tensor& x, const Tensor& baseline, const Tensor& truth,
                                      ScalarType type, double terms = 0.0);
// Expects gradients to be the central differences of the loss: every element of each input, or `samples` of
// them where there are more. The inputs are row-major float64 on the CPU, and what the loss is computed from;
// they are changed and put back.
void expect_finite_differences(const std::vector<Tensor>& inputs, const std::vector<Tensor>& gradients,
                               const std::function<double()>& loss, double tolerance,
                               int64_t samples = 1000000);
// Expects that the message has all of these words.
void expect_words(const std::string& message, const std::vector<std::string>& words);

}  // namespace longformer::test
