// Matrix products by oneDNN: activation(x W^T + bias) + residual in one primitive, weights in oneDNN's
// blocked layout. Only built where oneDNN is found (LONGFORMER_HAS_ONEDNN).
#pragma once
#include <cstddef>
#include <cstdint>

namespace longformer::cpu {

enum class Activation : int { none, gelu, gelu_tanh, relu, tanh };
enum class ProductType : int { float32, bfloat16 };

// True where oneDNN multiplies bfloat16 by the processor's own instructions. Elsewhere it is several times
// slower than float32, and so the caller computes in float32.
bool onednn_has_fast_bfloat16();

// The blocked layout of a [outputs, inputs] weight. It depends on nothing but these three (on one machine
// with one version of oneDNN), so that it can be derived again from the shape of the weight.
size_t packed_bytes(int64_t inputs, int64_t outputs, ProductType type);
void pack_weight(const void* weight, int64_t inputs, int64_t outputs, ProductType type, void* packed);

struct Product {
  int64_t rows = 0, inputs = 0, outputs = 0;
  ProductType type = ProductType::float32;
  const void* input = nullptr;   // [rows, inputs]
  const void* weight = nullptr;  // packed, or plain [outputs, inputs]
  bool packed = false;
  const void* bias = nullptr;  // [outputs] or null
  Activation activation = Activation::none;
  const void* residual = nullptr;  // [rows, outputs] or null; may be the output itself
  void* output = nullptr;          // [rows, outputs]
};

// Where columns [first, first + count) of a packed weight begin: packed like a weight of these columns alone.
// Null where oneDNN's layout does not keep them so; first must then be another, or the weight be taken whole.
const void* packed_columns(const void* packed, int64_t inputs, int64_t outputs, ProductType type,
                           int64_t first, int64_t count);

// The first call for a shape creates a primitive (about a millisecond), which a bounded cache keeps for the
// later ones. Any number of threads may call at once.
void multiply(const Product& product);

// As multiply, on the calling thread alone, for a thread among others that do the same. The result is float32
// whatever the type, and lies in the thread's scratch memory, until that is used again; product.output is not
// read.
const float* multiply_alone(const Product& product);
// Whether oneDNN has that for the types and shapes of the product, and not only for reference.
bool can_multiply_alone(const Product& product);

// How many primitives have been created in this process.
int64_t created_primitives();

}  // namespace longformer::cpu
