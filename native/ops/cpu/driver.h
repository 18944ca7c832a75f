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
const BandKernels* kernels_of(ScalarType type, bool bfloat16_products, bool relative);

Rows rows_of(const Tensor& t);
// The parts of a problem that every attention by the band's kernels has.
void fill_tensors(BandProblem& p, const Tensor& q, const Tensor& k, const Tensor& v);
void fill_scale_and_dropout(BandProblem& p, double scale, double dropout, int64_t seed);
void fill_problem(BandProblem& p, BandTables& tables, const BandedAttention& a);

// Holds the tensors of a problem's relative positions while the problem is worked on.
struct RelativeTables {
  Tensor columns, rows, content_bias, position_bias;
};
// Prepares relative positions, where the attention has any; rows for a backward pass only.
void fill_relative(BandProblem& p, RelativeTables& tables, const BandedAttention& a, bool backward);

// [N, H] for queries [N, H, D]: the logarithms of the sums of the exponentials.
Tensor empty_lse(const Tensor& query);
// The whole problem of so many sequences, into out [N, H, D] and lse (banded_attention.cpp).
void run_forward(BandForwardProblem& p, const BandKernels* kernels, int64_t sequences, const Tensor& out,
                 const Tensor& lse);
// Its gradients, into those tensors of `to` that the problem has (banded_attention_backward.cpp).
void run_backward(BandBackwardProblem& p, const BandKernels* kernels, int64_t sequences,
                  const Tensor& grad_out, const Tensor& out, const Tensor& lse, const BandedBackward& to);

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
