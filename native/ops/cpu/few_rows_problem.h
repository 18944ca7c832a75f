// The arguments that the drivers (few_rows_linear.cpp, decode_attention.cpp, pooled_tokens.cpp) pass to the
// kernels of a few rows (few_rows.h, decode_attention.h, pooled_tokens.h, compiled once for every instruction
// set). A few rows are a step of token-by-token decoding, or the global tokens. Reading weights, keys and
// values takes most of their time, so everything is read once, in the order of memory, without a copy.
#pragma once
#include <cstddef>
#include <cstdint>

#include "activation.h"
#include "band_problem.h"

namespace longformer::cpu {

// Above this many rows a matrix product with a packed weight is faster.
constexpr int64_t kFewRows = 16;

// activation(input . weight^T + bias) + residual.
struct FewRowsProblem {
  Element element = Element::float32;  // of everything but the input and a weight in int8
  int64_t rows = 0, inputs = 0, outputs = 0;
  const void* input = nullptr;   // float [rows][padded_inputs], zeros behind the inputs
  int64_t padded_inputs = 0;     // inputs rounded up to 16
  const void* weight = nullptr;  // [outputs][weight_stride], the last dimension contiguous
  int64_t weight_stride = 0;
  // [outputs] where the weight is in int8: the factors of its rows. null: it is of the element's type.
  const float* weight_scale = nullptr;
  const void* bias = nullptr;  // [outputs] or null
  Activation activation = Activation::none;
  const void* residual = nullptr;  // [rows][outputs] or null; may be the output
  void* output = nullptr;          // [rows][outputs]
};

// Some rows (beams) of one document against its keys and values.
struct DecodeProblem {
  Element element = Element::float32;  // of keys and values
  Rows key, value;                     // [L, H, D]
  int64_t keys = 0, heads = 0, dim = 0;
  int64_t padded_dim = 0;  // dim rounded up to 16
  int64_t rows = 0;
  const void* query = nullptr;    // [rows][heads][padded_dim] in the compute type, scaled by scale * log2(e)
  const uint8_t* mask = nullptr;  // nonzero: visible; null: all are
  int64_t mask_stride = 0;        // from row to row; 0: the same for all
  int64_t columns = 0;            // rows * heads rounded up to 16: a column is head * rows + row
};

// The result of a chunk of keys: for each column the largest score and the sum of 2^(score - largest), and
// for each row and head the weighted sum of the values, all in the compute type.
struct ChunkPart {
  void *largest = nullptr, *sum = nullptr;  // [columns]
  void* context = nullptr;                  // [rows][heads][padded_dim], or of a pool [rows][padded_channels]
};

constexpr int64_t kDecodeTokens = 16;  // keys between two looks at the softmax

// Scratch of one thread, in elements of the compute type.
static inline size_t few_rows_scratch(const FewRowsProblem& p) {
  return size_t(16 * 16 * p.rows + 64);
}
static inline size_t decode_scratch(const DecodeProblem& p) {
  return size_t(64 * p.columns + (kDecodeTokens + 1) * p.columns + kDecodeTokens * p.padded_dim + 64);
}

// Some queries over the tokens of one sequence, each of them key and value at once.
struct PoolProblem {
  Element element = Element::float32;  // of the tokens
  const void* tokens = nullptr;        // [N][stride]
  int64_t stride = 0;
  int64_t channels = 0, padded_channels = 0;  // rounded up to 16
  int64_t rows = 0, columns = 0;              // columns: rows rounded up to 16
  const void* queries = nullptr;              // [rows][padded_channels] in the compute type, times log2(e)
  const uint8_t* visible = nullptr;           // [N], nonzero = visible; null: all are
};

constexpr int64_t kPoolTokens = 32;  // tokens between two looks at the softmax
constexpr int64_t kPoolRows = 48;    // rows that go through the tokens together

static inline size_t pool_scratch(const PoolProblem& p) {
  return size_t(16 * 16 * 16 + (kPoolTokens + 1) * p.columns + kPoolTokens * p.padded_channels + 64);
}

struct FewRowsKernels {
  void (*few_rows)(const FewRowsProblem&, int64_t first, int64_t last, void* scratch);
  // [0] float, [1] double.
  void (*attend[2])(const DecodeProblem&, int64_t first, int64_t last, const ChunkPart&, void* scratch);
  void (*pool[2])(const PoolProblem&, int64_t first, int64_t last, const ChunkPart&, void* scratch);
};

const FewRowsKernels* few_rows_kernels_portable();
const FewRowsKernels* few_rows_kernels_avx2();
const FewRowsKernels* few_rows_kernels_avx512();

static inline const FewRowsKernels* few_rows_kernels(Isa isa) {
  return isa == Isa::avx512 ? few_rows_kernels_avx512()
         : isa == Isa::avx2 ? few_rows_kernels_avx2()
                            : few_rows_kernels_portable();
}

}  // namespace longformer::cpu
