// dropout_keeps of banded_attention.h, for tensors of coordinates on any device.

#include "operators.h"

namespace longformer {
namespace {

// int64 serves as uint64: sums and products wrap the same way, and a right shift clears the copies of the
// sign bit.
Tensor logical_shift(const Tensor& x, int64_t bits) {
  return x.bitwise_right_shift(bits).bitwise_and_(static_cast<int64_t>(~uint64_t{0} >> bits));
}

int64_t wrapped(uint64_t constant) {
  return static_cast<int64_t>(constant);
}

}  // namespace

Tensor dropout_mask(int64_t seed, const Tensor& head, const Tensor& query, const Tensor& key,
                    double probability) {
  const auto times = [](const Tensor& coordinate, uint64_t constant) {
    return coordinate.add(int64_t{1}).mul(wrapped(constant));
  };
  const Tensor x = (times(head, 0x9E3779B97F4A7C15ull) + times(query, 0xBF58476D1CE4E5B9ull)).add(seed) +
                   times(key, 0x94D049BB133111EBull);
  x.bitwise_xor_(logical_shift(x, 30));
  x.mul_(wrapped(0xBF58476D1CE4E5B9ull));
  x.bitwise_xor_(logical_shift(x, 27));
  x.mul_(wrapped(0x94D049BB133111EBull));
  x.bitwise_xor_(logical_shift(x, 31));
  return logical_shift(x, 11).to(kDouble).mul_(0x1.0p-53).ge(probability);
}

}  // namespace longformer
