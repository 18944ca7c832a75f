// Shared by the forward and the backward pass of the global tokens' attention (global_attention.cpp).
#pragma once
#include "operators.h"

namespace longformer {

// Consecutive sequences of equal length, which are computed together.
struct Run {
  int64_t first, count, begin, length;
};
std::vector<Run> runs_of_equal_length(const std::vector<int64_t>& offsets);
// How many rows of queries to compute at a time, to hold at most 2^24 probabilities of a run in memory.
int64_t rows_at_once(const Run& run, int64_t heads);

// Returns the tokens of a run, [N, ...] -> [count, length, ...], in the compute type. Invisible tokens become
// zeros: padding may hold NaN, and a probability of 0 times it must be 0.
Tensor visible_tokens_of(const Tensor& visible, const Tensor& t, const Run& run);
// bool [count, G]: rows without a token, or with an invisible one.
Tensor empty_rows(const GlobalAttention& a, const Run& run);

// softmax over the visible keys: scores [count, H, rows, length].
Tensor visible_softmax(const Tensor& visible, const Run& run, const Tensor& scores);
// The factors of dropout for the probabilities of the global rows from `row` on. Undefined without dropout.
Tensor dropout_factors(const GlobalAttention& a, const Run& run, const Tensor& scores, int64_t row);

// scale * query . key for some rows of a run: [count, H, rows, length].
Tensor projected_scores(const GlobalAttention& a, const Tensor& query, const Tensor& key, const Run& run,
                        int64_t row, int64_t rows);

// Counts products per token: folding takes G*H*C for each of keys and values, projecting H*D*C and G*H*D.
bool folding_is_cheaper(const GlobalAttention& a, int64_t channels);
// The type in which hidden states are projected. float32 on a CPU, since the products are few; the query's
// own type on a device with 16-bit products.
ScalarType projection_type(const Tensor& query);

}  // namespace longformer
