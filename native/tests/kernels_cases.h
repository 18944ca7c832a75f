// The cases that the fused kernels of every device are tested with, and how results are compared.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "kernels_oracle.h"

namespace longformer::test {

inline std::vector<int64_t> first_positions(int64_t n) {
  std::vector<int64_t> all(static_cast<size_t>(n));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

// name, lengths, heads, dim, left, right, dilation, hidden, globals, dropout, spread, scale, fused projection
inline const std::vector<Case>& attention_cases() {
  static const std::vector<Case> cases = {
      {"one_block", {64}, 2, 16, 8, 8},
      {"one_token", {1}, 3, 8, 4, 4},
      {"window_of_one_token", {70}, 2, 8, 0, 0},
      {"dim_64_window_128_each_side", {700}, 1, 64, 128, 128},
      {"dim_64_projected_together", {300}, 3, 64, 40, 40, {}, 0, {}, 0, 1, 0, true},
      {"dim_64_last_queries_see_nothing_of_the_first_tile", {200}, 2, 64, 10, 0},
      {"dim_64_both_edges_in_one_tile", {330}, 2, 64, 3, 5, {}, 0.1, {{0, 100}}},
      {"dim_64_edges_inside_a_vector", {500}, 1, 64, 97, 33},
      {"dims_that_are_no_multiple_of_a_vector_20", {150}, 2, 20, 17, 5},
      {"dim_1", {130}, 2, 1, 9, 9},
      {"dim_7", {90}, 2, 7, 3, 30},
      {"dim_80", {200}, 1, 80, 33, 20},
      {"dim_128", {200}, 1, 128, 64, 64},
      {"causal", {333}, 2, 32, 100, 0},
      {"forward_only", {222}, 2, 8, 0, 50},
      {"longer_than_the_sequence", {100}, 2, 16, 500, 1000000000},
      {"packed_with_empty_ones", {65, 0, 1, 200, 0, 63, 0}, 2, 24, 20, 11},
      {"dilation_per_head", {301}, 4, 16, 9, 7, {1, 2, 3, 8}},
      {"dilation_beyond_the_length", {23}, 2, 8, 4, 4, {9, 50}},
      {"masked_half", {260}, 2, 16, 20, 20, {}, 0.5},
      {"masked_all", {130}, 2, 16, 20, 20, {}, 1.1},
      {"globals", {190, 70}, 2, 16, 10, 12, {}, 0, {{0, 1, 50, 189}, {3}}},
      {"globals_and_mask_and_dilation", {290, 170}, 3, 16, 10, 12, {1, 2, 3}, 0.3, {{0, 7, 100, 280}, {}}},
      {"every_token_global", {150}, 1, 16, 5, 5, {}, 0, {first_positions(150)}},
      {"dropout", {180}, 2, 16, 30, 30, {}, 0.1, {{0, 90}}, 0.25},
      {"dropout_dilated", {180}, 2, 16, 10, 30, {2, 3}, 0, {}, 0.6},
      {"large_scores", {200}, 1, 32, 50, 50, {}, 0, {}, 0, 12},
      {"negative_scale", {100}, 1, 16, 20, 20, {}, 0.2, {}, 0, 1, -0.7},
      {"several_segments", {2500}, 1, 8, 30, 70, {}, 0.05, {{0, 1, 2040, 2100}}},
      {"several_segments_dilated", {4700}, 1, 4, 40, 10, {2}, 0, {{5}}},
      {"segments_as_long_as_the_window", {5000}, 1, 2, 1100, 1300},
  };
  return cases;
}

struct Limits {
  double atol, rtol;
};

// atol grows with the largest expected value: sums of products round relative to their terms.
inline void expect_close(const Tensor& actual, const Tensor& expected, const Limits& limits,
                         const std::string& what) {
  ASSERT_EQ(actual.sizes(), expected.sizes()) << what;
  const Doubles x = values(actual), y = values(expected);
  double largest = 1.0;
  for (const double v : y)
    if (std::isfinite(v)) largest = std::max(largest, std::abs(v));
  for (size_t i = 0; i < x.size(); ++i) {
    ASSERT_FALSE(std::isnan(x[i])) << what << " has NaN at " << i;
    ASSERT_EQ(std::isinf(x[i]), std::isinf(y[i])) << what << ": empty rows differ at " << i;
    if (std::isinf(x[i])) continue;
    ASSERT_LE(std::abs(x[i] - y[i]), limits.rtol * std::abs(y[i]) + limits.atol * largest)
        << what << " at " << i << " of " << x.size();
  }
}

}  // namespace longformer::test
