#include "hidden_dropout.h"

#include <algorithm>

#include "driver.h"
#include "hidden_keep.h"
#include "vec_portable.h"

namespace longformer::cpu {
namespace {

constexpr int64_t kElementsAtOnce = int64_t(1) << 14;

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

template <class In>
void drop(const Tensor& input, const Tensor& out, uint64_t seed, uint64_t threshold, double factor) {
  using Stored = typename In::Stored;
  const auto* from = input.data_ptr<const Stored>();
  auto* to = out.data_ptr<Stored>();
  const int64_t count = out.numel();
  using Number = decltype(In::load(Stored()));
  const auto by = In::load(In::store(static_cast<Number>(factor)));
  for_each_unit((count + kElementsAtOnce - 1) / kElementsAtOnce, [&](int64_t unit) {
    const int64_t last = std::min(count, (unit + 1) * kElementsAtOnce);
    for (int64_t i = unit * kElementsAtOnce; i < last; ++i)
      to[i] =
          In::store(In::load(from[i]) * (hidden_keeps(seed + static_cast<uint64_t>(i), threshold) ? by : 0));
  });
}

}  // namespace

bool has_hidden_dropout(ScalarType type) {
  return type == kFloat || type == kDouble || type == kBFloat16 || type == kHalf;
}

Tensor hidden_dropout(const Tensor& input, uint64_t seed, uint64_t threshold, double factor) {
  const Tensor x = input.contiguous(), out = empty(input.sizes(), input.options());
  switch (input.scalar_type()) {
    case kDouble:
      drop<InDouble>(x, out, seed, threshold, factor);
      break;
    case kBFloat16:
      drop<InBFloat16>(x, out, seed, threshold, factor);
      break;
    case kHalf:
      drop<InHalf>(x, out, seed, threshold, factor);
      break;
    default:
      drop<InFloat>(x, out, seed, threshold, factor);
  }
  return out;
}

}  // namespace longformer::cpu
