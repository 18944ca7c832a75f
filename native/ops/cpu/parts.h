// Merges the parts of a few queries over many keys. Each chunk of the keys makes a part (ChunkPart): the
// largest scores, the sums and the contexts, one after another in memory.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "few_rows_problem.h"

namespace longformer::cpu {

template <typename S>
ChunkPart part_at(S* results, int64_t columns) {
  return {results, results + columns, results + 2 * columns};
}

// The parts, `step` elements apart, at one scale, summed and normalised: zeros where none has anything. A
// row's score is in `column`, its context `context_row` rows of padded_dim into the contexts.
template <typename S>
void merge_row(const S* results, int64_t step, int64_t parts, int64_t columns, int64_t column,
               int64_t context_row, int64_t padded_dim, int64_t dim, S* out) {
  S largest = results[column], total = 0;
  for (int64_t i = 1; i < parts; ++i) largest = std::max(largest, results[i * step + column]);
  std::fill(out, out + dim, S(0));
  for (int64_t i = 0; i < parts; ++i) {
    const S* const part = results + i * step;
    const S* const context = part + 2 * columns + context_row * padded_dim;
    const S factor = std::exp2(part[column] - largest);
    total += factor * part[columns + column];
    for (int64_t d = 0; d < dim; ++d) out[d] += factor * context[d];
  }
  if (total == S(0)) return;
  for (int64_t d = 0; d < dim; ++d) out[d] /= total;
}

}  // namespace longformer::cpu
