// Matrix products by whole tiles for AVX-512 with AMX; see product_tiles.h.
#include "product_problem.h"

#if defined(__AVX512BF16__) && defined(__x86_64__)

#include "vec_avx512.h"

#include "gelu_avx512.h"
#include "product_bfloat16.h"
#include "product_int8.h"
#include "product_tiles.h"

namespace {

struct UnsignedBytes {
  using Cell = uint8_t;
  static constexpr int32_t kZero = 128;
};

}  // namespace

namespace longformer::cpu {
const ProductKernels* product_kernels_tiles() {
  static constexpr ProductKernels kernels = {
      pack_pairs, multiply_unit_by_tiles<BFloat16Pairs, BFloat16Tiles, true>,
      nullptr,    nullptr,
      nullptr,    kTiledUnitRows,
      kTiledDepth};
  return &kernels;
}
const ProductKernels* product_kernels_byte_tiles() {
  using Form = Int8Cells<FloatAvx512, UnsignedBytes>;
  static constexpr ProductKernels kernels = {
      nullptr,    multiply_unit_by_tiles<Form, ByteTiles, false>, nullptr, nullptr, nullptr, kTiledUnitRows,
      kTiledDepth};
  return &kernels;
}
}  // namespace longformer::cpu

#else  // another architecture, or a compiler without it
namespace longformer::cpu {
const ProductKernels* product_kernels_tiles() {
  return nullptr;
}
const ProductKernels* product_kernels_byte_tiles() {
  return nullptr;
}
}  // namespace longformer::cpu
#endif
