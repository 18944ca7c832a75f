// The arguments that layer_norm.cpp and norm_backward.cpp pass to the kernels of row_norm.h.
#pragma once
#include <cstdint>

#include "band_problem.h"
#include "hidden_keep.h"

namespace longformer::cpu {

struct NormInput {
  Element element = Element::float32;
  const void *input = nullptr, *residual = nullptr;  // rows of `columns`; residual may be null
  int64_t input_stride = 0, residual_stride = 0;     // in elements
  const void* weight = nullptr;                      // [columns]
  void* output = nullptr;                            // contiguous
  int64_t columns = 0, padded_columns = 0;           // padded: rounded up to 16
  double eps = 0;
  HiddenDrop drop;  // of the input alone, before the residual is added
};
struct NormProblem : NormInput {
  const void* bias = nullptr;  // [columns]
  void* sum = nullptr;         // contiguous, receives what is normalized; may be the input
};
struct NormBackwardProblem : NormInput {  // the output is the gradient of the sum
  const void* gradient = nullptr;         // contiguous
  void* input_output = nullptr;           // with a dropout: the gradient of the input
  bool of_sum = false;                    // `input` is the sum, from which nothing is dropped
};

struct NormKernels {
  // Rows [first, last); scratch of 4 * padded_columns in the compute type. [0] float, [1] double.
  void (*rows[2])(const NormProblem&, int64_t first, int64_t last, void* scratch);
  // Adds the gradients of weight and bias to sums of padded_columns in the compute type.
  void (*backward[2])(const NormBackwardProblem&, int64_t first, int64_t last, void* weight_sums,
                      void* bias_sums, void* scratch);
};

const NormKernels* norm_kernels_portable();
const NormKernels* norm_kernels_avx2();
const NormKernels* norm_kernels_avx512();

static inline const NormKernels* norm_kernels(Isa isa) {
  return isa == Isa::avx512 ? norm_kernels_avx512()
         : isa == Isa::avx2 ? norm_kernels_avx2()
                            : norm_kernels_portable();
}

}  // namespace longformer::cpu
