// hidden_dropout of flat elements; compiled once for every instruction set, by whose vectors the compiler
// makes the loop.
#pragma once
#include <cstdint>

#include "hidden_keep.h"

namespace {

using longformer::cpu::HiddenDrop;

// How a type is stored and computed with.
struct InFloat {
  using Stored = float;
  static float load(float x) { return x; }
  static float store(float x) { return x; }
};
struct InDouble {
  using Stored = double;
  static double load(double x) { return x; }
  static double store(double x) { return x; }
};
struct InBFloat16 {
  using Stored = uint16_t;
  static float load(uint16_t x) { return bfloat16_to_float(x); }
  static uint16_t store(float x) { return float_to_bfloat16(x); }
};
struct InHalf {
  using Stored = uint16_t;
  static float load(uint16_t x) { return half_to_float(x); }
  static uint16_t store(float x) { return float_to_half(x); }
};

// Elements [first, last). The factors of a few come before the products: numbers of 8 and of 2 or 4 bytes in
// one loop would not become vectors.
template <class In>
void drop_elements(const void* input, void* output, const HiddenDrop& drop, int64_t first, int64_t last) {
  using Stored = typename In::Stored;
  using Number = decltype(In::load(Stored()));
  constexpr int64_t at_once = 256;
  const auto* from = static_cast<const Stored*>(input);
  auto* to = static_cast<Stored*>(output);
  const auto by = In::load(In::store(static_cast<Number>(drop.kept)));
  Number factors[at_once];
  for (int64_t i = first; i < last; i += at_once) {
    const uint64_t start = drop.seed + static_cast<uint64_t>(i);
    for (int64_t k = 0; k < at_once; ++k)
      factors[k] =
          longformer::cpu::hidden_keeps(start + static_cast<uint64_t>(k), drop.threshold) ? by : Number(0);
    const int64_t count = last - i < at_once ? last - i : at_once;
    for (int64_t k = 0; k < count; ++k) to[i + k] = In::store(In::load(from[i + k]) * factors[k]);
  }
}

constexpr longformer::cpu::DropKernels drop_kernels = {
    {drop_elements<InFloat>, drop_elements<InDouble>, drop_elements<InBFloat16>, drop_elements<InHalf>}};

}  // namespace
