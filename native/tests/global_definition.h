// Global attention by its definition on the host, forward and backward, and random problems for it.
#pragma once
#include <optional>
#include <vector>

#include "support.h"

namespace longformer::test {

// Random sequences, hidden states and weights; keys and values follow from them.
struct GlobalProblem {
  std::vector<int64_t> lengths, offsets;
  bool packed = false;
  int64_t heads = 1, dim = 1, channels = 1, globals = 1;
  Tensor query, hidden, key_weight, key_bias, value_weight, value_bias, index, mask, grad_out;
  double dropout = 0.0;
  int64_t seed = 11;

  GlobalOptions options() const;  // borrows offsets
  std::vector<int64_t> token_shape() const;
  // hidden . weight^T + bias as [B, T, H, D] or [N, H, D], computed in double, of the type of hidden; bias
  // may be undefined.
  Tensor projected(const Tensor& weight, const Tensor& bias) const;
  Tensor key() const { return projected(key_weight, key_bias); }
  Tensor value() const { return projected(value_weight, value_bias); }
};

GlobalProblem random_global_problem(uint64_t seed, ScalarType type, int64_t most_globals);

struct GlobalResult {
  Tensor out, grad_query, grad_key, grad_value;  // float64, in the shapes of query, key and value
};
// Row by row in double, with the gradients of p.grad_out.
GlobalResult global_definition(const GlobalProblem& p, const Tensor& key, const Tensor& value);

struct FoldedResult {
  Tensor out, grad_query, grad_hidden, grad_key_weight, grad_key_bias, grad_value_weight,
      grad_value_bias;  // float64
};
// Of folded_global_attention: the definition with projected keys and values, and its gradients carried on
// through the projections.
FoldedResult folded_definition(const GlobalProblem& p);

}  // namespace longformer::test
