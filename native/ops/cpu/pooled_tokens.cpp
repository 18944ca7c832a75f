// longformer::_pooled_tokens on a CPU. The tokens of a sequence are cut into chunks whose size depends on the
// sequence alone, so that results depend neither on the number of threads nor on the other sequences.

#include <algorithm>

#include "../operators.h"
#include "driver.h"
#include "few_rows_problem.h"
#include "parts.h"

namespace longformer {

using namespace cpu;

namespace {

// At most 32 chunks, whose results take that many times the memory of the queries.
int64_t chunk_tokens(int64_t length) {
  return std::max<int64_t>((length / 32 + kPoolTokens) / kPoolTokens * kPoolTokens, 256);
}

int64_t part_elements(const PoolProblem& p) {
  return 2 * p.columns + p.rows * p.padded_channels;
}

struct Unit {
  int64_t first, last;  // tokens
  int64_t sequence, row;
  int64_t part;  // where its results begin, in elements of the compute type
};

template <typename S>
void pool(PoolProblem p, const S* queries, int64_t sequence_rows, IntList offsets, const Tensor& out) {
  const auto problem_at = [p, sequence_rows](int64_t row) {
    PoolProblem part = p;
    part.rows = std::min(kPoolRows, sequence_rows - row);
    part.columns = (part.rows + 15) / 16 * 16;
    return part;
  };
  std::vector<Unit> units;
  int64_t elements = 0;
  const auto sequences = static_cast<int64_t>(offsets.size()) - 1;
  for (int64_t s = 0; s < sequences; ++s) {
    const int64_t chunk = chunk_tokens(offsets[s + 1] - offsets[s]);
    for (int64_t row = 0; row < sequence_rows; row += kPoolRows) {
      const PoolProblem part = problem_at(row);
      for (int64_t first = offsets[s]; first < offsets[s + 1];
           first += chunk, elements += part_elements(part))
        units.push_back({first, std::min(first + chunk, offsets[s + 1]), s, row, elements});
    }
  }
  out.zero_();
  if (units.empty()) return;
  const int64_t all_rows = sequences * sequence_rows;
  const Tensor memory = empty({elements + all_rows * p.padded_channels}, out.options());
  S* const results = static_cast<S*>(memory.data_ptr());
  S* const scaled = results + elements;
  for (int64_t r = 0; r < all_rows; ++r) {
    S* const to = scaled + r * p.padded_channels;
    for (int64_t c = 0; c < p.channels; ++c) to[c] = queries[r * p.channels + c] * S(1.4426950408889634);
    std::fill(to + p.channels, to + p.padded_channels, S(0));
  }
  const auto kernel = few_rows_kernels(active_isa())->pool[sizeof(S) == 8 ? 1 : 0];
  for_each_unit(static_cast<int64_t>(units.size()), [&](int64_t i) {
    const Unit& u = units[static_cast<size_t>(i)];
    PoolProblem part = problem_at(u.row);
    part.queries = scaled + (u.sequence * sequence_rows + u.row) * p.padded_channels;
    kernel(part, u.first, u.last, part_at(results + u.part, part.columns),
           thread_scratch(pool_scratch(part) * sizeof(S)));
  });
  for (size_t i = 0; i < units.size();) {
    const Unit& u = units[i];
    size_t end = i + 1;
    while (end < units.size() && units[end].sequence == u.sequence && units[end].row == u.row) ++end;
    const PoolProblem part = problem_at(u.row);
    S* to = static_cast<S*>(out.data_ptr()) + (u.sequence * sequence_rows + u.row) * p.channels;
    for (int64_t r = 0; r < part.rows; ++r, to += p.channels)
      merge_row(results + u.part, part_elements(part), static_cast<int64_t>(end - i), part.columns, r, r,
                p.padded_channels, p.channels, to);
    i = end;
  }
}

}  // namespace

Tensor pooled_tokens_on_cpu(const Tensor& queries, const Tensor& hidden, const Tensor& visible,
                            IntList sequence_offsets) {
  const Tensor q = queries.contiguous(), out = empty(queries.sizes(), q.options());
  const Tensor x = hidden.stride(1) == 1 || hidden.size(1) == 1 ? hidden : hidden.contiguous();
  const Tensor mask = visible.defined() ? visible.to(kBool).contiguous() : Tensor();
  PoolProblem p;
  p.element = element_of(x);
  p.tokens = x.data_ptr();
  p.stride = x.stride(0);
  p.channels = x.size(1);
  p.padded_channels = (p.channels + 15) / 16 * 16;
  p.visible = mask.defined() ? static_cast<const uint8_t*>(mask.data_ptr()) : nullptr;
  if (q.scalar_type() == kDouble)
    pool(p, static_cast<const double*>(q.data_ptr()), queries.size(1), sequence_offsets, out);
  else
    pool(p, static_cast<const float*>(q.data_ptr()), queries.size(1), sequence_offsets, out);
  return out;
}

}  // namespace longformer
