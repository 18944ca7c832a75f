// The arguments that multiply.cpp passes to the kernels of product.h: activation(input . weight^T + bias) +
// residual in float32, whatever the tensors' type. Weights are packed in panels of kPanel outputs,
// [panel][cells, rounded up to 16][kPanel], zeros behind the last; every instruction set reads the same
// panels. A cell has four bytes: one input in float32; for processors with AVX512_BF16, two in bfloat16; of
// weights of eight bits (int8_linear.h) two in int16 or, for processors with VNNI, four in int8.
#pragma once
#include <cstddef>
#include <cstdint>

#include "activation.h"
#include "band_problem.h"

namespace longformer::cpu {

constexpr int64_t kPanel = 32;
// Cells that a tile of the result is multiplied with in a row: so many of a panel's weights stay in the
// first-level cache for all rows of a unit. Where the processor multiplies whole tiles (AMX), sums that come
// and go cost more than weights out of the second-level cache.
constexpr int64_t kDepth = 192, kTiledDepth = 384;
// Rows of the input are an odd number of cache lines apart, so that they share no cache sets.
constexpr int64_t stride_of(int64_t depth) {
  return depth + 16;
}
// Rows that are multiplied together: enough that a weight is used often once it is in the second-level cache.
constexpr int64_t kUnitRows = 84;
constexpr int64_t kTiledUnitRows = 192;
constexpr int64_t kMostUnitRows = kTiledUnitRows;
// Numbers of eight bits are symmetric: -127 .. 127.
constexpr float kInt8Largest = 127;

// A matrix in memory, its last dimension contiguous.
struct Operand {
  const void* data = nullptr;
  int64_t stride = 0;       // elements from row to row
  bool transposed = false;  // it is there as [columns, rows]
  Element element = Element::float32;
};

struct PackProblem {
  Operand weight;  // [outputs, inputs]
  int64_t inputs = 0, outputs = 0;
  float* packed = nullptr;  // cells
};

struct ProductProblem {
  int64_t rows = 0, inputs = 0, outputs = 0;
  int64_t cells = 0;  // of a row of the input
  Operand input;      // [rows, inputs]
  const float* packed = nullptr;
  Element element = Element::float32;       // of residual and output
  Element bias_element = Element::float32;  // that, or float32
  const void* bias = nullptr;               // [outputs] or null
  Activation activation = Activation::none;
  const void* residual = nullptr;  // [rows, outputs] or null; may be the output
  void* output = nullptr;          // [rows, outputs]
  int64_t output_stride = 0;       // from row to row of output and residual, in elements
  float* row_sums = nullptr;       // [rows]: receives the sums of the input's rows, where that is transposed
  // Of weights of eight bits: the scale of each output, and what its sums are too large by.
  const float* weight_scale = nullptr;  // [outputs]
  const int32_t* offsets = nullptr;     // [outputs rounded up to a panel]
};

static inline int64_t padded_cells(int64_t cells) {
  return (cells + 15) / 16 * 16;
}
static inline int64_t panels_of(int64_t outputs) {
  return (outputs + kPanel - 1) / kPanel;
}
static inline int64_t packed_cells(int64_t cells, int64_t outputs) {
  return panels_of(outputs) * kPanel * padded_cells(cells);
}

// Rows [first_row, last_row) of the result in panels [first_panel, last_panel).
struct ProductUnit {
  int64_t first_row, last_row, first_panel, last_panel;
  int64_t most_panels;  // of the units that use one scratch; all panels: no unit has the same rows again
  bool rows_are_read;   // the scratch holds these rows of the input from the call before
};

// Scratch in cells for units of at most so many rows and panels: the rows, what is being transposed, the
// sums. Rows of the input that no other unit needs are kept for the inputs at hand only.
static inline size_t product_scratch(const ProductProblem& p, int64_t depth, int64_t rows, int64_t panels) {
  const int64_t padded = (rows + 15) / 16 * 16,
                blocks = panels < panels_of(p.outputs) ? (p.cells + depth - 1) / depth : 1;
  return size_t(padded * (blocks * stride_of(depth) + 16 + panels * kPanel) + 64);
}
constexpr size_t kPackScratch = size_t(kPanel) * (64 + 16);

// Two inputs of bfloat16 in a cell, the first in the low half; the last of an odd number has a zero beside
// it.
static inline int64_t pairs_of(int64_t inputs) {
  return (inputs + 1) / 2;
}

// Rows times a matrix whose rows are in memory as they are (fold_rows.h).
struct FoldProblem {
  int64_t rows = 0, inputs = 0, channels = 0;  // channels: a multiple of 16
  const float* input = nullptr;                // [rows, inputs]
  const void* weight = nullptr;                // [inputs, channels], weight_stride elements from row to row
  Element element = Element::float32;          // of the weight
  int64_t weight_stride = 0;
  float* output = nullptr;  // [rows, channels]
};

struct ProductKernels {
  void (*pack)(const PackProblem&, int64_t first_panel, int64_t last_panel, void* scratch);
  void (*multiply)(const ProductProblem&, const ProductUnit&, void* scratch);
  // count elements: activation(input) + residual (or null), and the derivative there times the gradient.
  void (*activate)(const void* input, const void* residual, void* output, int64_t count, Element, Activation);
  void (*activate_backward)(const void* gradient, const void* input, void* output, int64_t count, Element,
                            Activation);
  void (*fold)(const FoldProblem&) = nullptr;
  int64_t unit_rows = kUnitRows;  // of a unit, at most
  int64_t depth = kDepth;         // cells that are multiplied in a row
};

// Those for cells of two bfloat16, for a bfloat16 input and weight: only pack and multiply are set.
const ProductKernels* product_kernels_bfloat16();
// The same by whole tiles, and for weights of eight bits, four in a cell: only multiply is set.
const ProductKernels* product_kernels_tiles();
const ProductKernels* product_kernels_byte_tiles();
// For weights of eight bits: two int16 in a cell, or four int8; null where this build does not have it. Only
// multiply is set.
const ProductKernels* product_kernels_shorts_portable();
const ProductKernels* product_kernels_shorts_avx2();
const ProductKernels* product_kernels_shorts_avx512();
const ProductKernels* product_kernels_bytes_avx2();
const ProductKernels* product_kernels_bytes_avx512();
const ProductKernels* product_kernels_portable();
const ProductKernels* product_kernels_avx2();
const ProductKernels* product_kernels_avx512();

static inline const ProductKernels* product_kernels(Isa isa) {
  return isa == Isa::avx512 ? product_kernels_avx512()
         : isa == Isa::avx2 ? product_kernels_avx2()
                            : product_kernels_portable();
}

}  // namespace longformer::cpu
