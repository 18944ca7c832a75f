// Between the operator's struct of tensors and the kernels' struct of pointers; and the threads.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include "../../base/parallel.h"
#include "../banded_attention.h"
#include "band_problem.h"

namespace longformer::cpu {

// The lists that a BandProblem points into.
struct BandTables {
  std::vector<uint8_t> local_key;
  std::vector<int64_t> global_start, global_token;
};

Element element_of(const Tensor& t);
inline int compute_index(Element e) {
  return e == Element::float64 ? 1 : 0;
}
inline size_t compute_size(Element e) {
  return e == Element::float64 ? 8 : 4;
}

// The kernels of the active instruction set for a problem of this type.
const BandKernels* kernels_of(const BandedAttention& a);

Rows rows_of(const Tensor& t);
void fill_problem(BandProblem& p, BandTables& tables, const BandedAttention& a);

// Holds the tensors of a problem's relative positions while the problem is worked on.
struct RelativeTables {
  Tensor columns, rows, content_bias, position_bias;
};
// Prepares relative positions, where the attention has any; rows for a backward pass only.
void fill_relative(BandProblem& p, RelativeTables& tables, const BandedAttention& a, bool backward);

// 64-byte aligned memory of this thread, valid until the next call on the same thread. Small ones are kept
// for the next operator call, so that the steady state allocates nothing.
void* thread_scratch(size_t bytes);
void trim_thread_scratch();

// Runs work(index) for every index, on up to get_num_threads() threads; indices are handed out one at a
// time, so that a thread that is held up does not hold up the others.
template <class Work>
void for_each_unit(int64_t count, const Work& work) {
  if (count <= 0) return;
  std::atomic<int64_t> next{0};
  const int64_t threads = std::min<int64_t>(get_num_threads(), count);
  parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = next++; i < count; i = next++) work(i);
    trim_thread_scratch();
  });
}

}  // namespace longformer::cpu
