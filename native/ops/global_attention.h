// What the forward and the backward pass of the global tokens' attention share (global_attention.cpp).
#pragma once
#include "operators.h"

namespace longformer {

// Sequences of one length that lie behind each other are computed together.
struct Run {
  int64_t first, count, begin, length;
};
std::vector<Run> runs_of_equal_length(const std::vector<int64_t>& offsets);
// Rows of queries at a time, so that no more than 2^24 probabilities of a run lie in memory at once.
int64_t rows_at_once(const Run& run, int64_t heads);

// Tokens of a run, [N, ...] -> [count, length, ...], in the type that is computed with; zeros in the tokens
// that are not visible: whatever they hold (padding may hold NaN), a probability of 0 times it must be 0.
Tensor visible_tokens_of(const Tensor& visible, const Tensor& t, const Run& run);
// bool [count, G]: rows that are no token, or one that is not visible.
Tensor empty_rows(const GlobalAttention& a, const Run& run);

// softmax over the visible keys: scores [count, H, rows, length].
Tensor visible_softmax(const Tensor& visible, const Run& run, const Tensor& scores);
// What dropout multiplies the probabilities of the global rows from `row` on with; undefined where nothing is
// dropped.
Tensor dropout_factors(const GlobalAttention& a, const Run& run, const Tensor& scores, int64_t row);

// scale * query . key for some rows of a run: [count, H, rows, length].
Tensor projected_scores(const GlobalAttention& a, const Tensor& query, const Tensor& key, const Run& run,
                        int64_t row, int64_t rows);

// Products per token decide: folding costs G*H*C for each of keys and values, projecting H*D*C and G*H*D.
bool folding_is_cheaper(const GlobalAttention& a, int64_t channels);
// The type in which the hidden states are projected: few products, so float32 whatever the dtype, except on a
// device with 16-bit products.
ScalarType projection_type(const Tensor& query);

}  // namespace longformer
