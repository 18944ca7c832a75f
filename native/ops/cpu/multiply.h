// Matrix products in float32 on the threads of libtorch: the kernels of product.h over the whole result.
#pragma once
#include "../../base/tensor.h"
#include "activation.h"
#include "product_problem.h"

namespace longformer::cpu {

// The kernels read this: a weight of any type in float32, or one in bfloat16 as it is. Weights of eight bits
// are packed by int8_linear.h.
enum class PackedAs { float32, bfloat16 };

// bfloat16 where type is and the processor multiplies it by instructions of its own.
PackedAs packed_as(ScalarType type);

// Packs a weight [outputs, inputs] of float32, bfloat16 or float16, in any strides, into the layout of the
// kernels: float32 or bfloat16, one dimension, the same for every instruction set and number of rows.
Tensor pack_weight(const Tensor& weight, PackedAs as);
bool is_packed(const Tensor& packed, PackedAs as, int64_t inputs, int64_t outputs);

struct Product {
  Tensor input;   // [rows, inputs], any strides
  Tensor packed;  // pack_weight of [outputs, inputs]; in bfloat16 only where the input is; or pack_int8
  int64_t outputs = 0;
  Tensor bias;  // [outputs] or undefined
  Activation activation = Activation::none;
  Tensor residual;         // like out, or undefined; may be out itself
  Tensor out;              // rows * outputs elements, contiguous; the bias is of its type, or float32
  int64_t out_stride = 0;  // from row to row of out and residual; 0: outputs
  Tensor row_sums = {};    // float32 [rows]: receives the sums of the input's rows
  // [outputs] in float32, of a packed weight of eight bits; then input's rows are contiguous.
  Tensor weight_scale = {};
};

// out = activation(input . weight^T + bias) + residual.
void multiply(const Product& product);
// The same with a weight [outputs, inputs] in any strides, which is packed for this product alone: a large
// one part by part, so that its packed form takes at most 16 MiB. `packed` and `outputs` are not set.
void multiply_plain(Product product, const Tensor& weight);

// The kernels for a packed weight of that type.
const ProductKernels* product_kernels_for(ScalarType packed);
// The whole problem, of at most the kernels' unit_rows rows, on this thread.
void multiply_rows(const ProductProblem& problem, const ProductKernels& kernels, void* scratch);
size_t multiply_rows_scratch(const ProductProblem& problem, const ProductKernels& kernels);  // in bytes

// activation(input) + residual, and the derivative there times gradient, for contiguous float32, bfloat16 and
// float16 tensors; residual may be undefined, out one of the others.
void activate_into(const Tensor& input, Activation activation, const Tensor& residual, const Tensor& out);
void activate_backward_into(const Tensor& gradient, const Tensor& input, Activation activation,
                            const Tensor& out);

}  // namespace longformer::cpu
