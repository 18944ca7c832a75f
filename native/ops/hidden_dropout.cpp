// longformer::hidden_dropout. A 64-bit mixer (the finaliser of SplitMix64 without its last step) of seed + i
// decides about element i of the flat input: it is kept where 24 of the mixer's bits reach the probability.
// The gradient is the same operator.
#include <cmath>

#include "cpu/hidden_dropout.h"
#include "operators.h"

namespace longformer {
constexpr int64_t kSteps = int64_t(1) << 24;

cpu::HiddenDrop hidden_drop_of(double probability, int64_t seed) {
  if (probability == 0) return {};
  return {static_cast<uint64_t>(seed),
          static_cast<uint64_t>(std::llround(probability * static_cast<double>(kSteps))),
          1 / (1 - probability)};
}

namespace {

int64_t wrapped(uint64_t constant) {
  return static_cast<int64_t>(constant);
}

// x ^ (x >> bits), the shift filling up with zeros.
Tensor mixed(const Tensor& x, int64_t bits, uint64_t multiplier) {
  const Tensor high = x.bitwise_right_shift(bits).bitwise_and((int64_t(1) << (64 - bits)) - 1);
  return high.bitwise_xor_(x).mul(wrapped(multiplier));
}

}  // namespace

Tensor hidden_dropout(const Tensor& input, double probability, int64_t seed) {
  check_hidden_dropout(input, probability);
  if (probability == 0 || input.numel() == 0) return input.clone();
  if (probability == 1) return zeros(input.sizes(), input.options());
  const cpu::HiddenDrop drop = hidden_drop_of(probability, seed);
  if (input.is_cpu() && cpu::has_hidden_dropout(input.scalar_type())) return cpu::hidden_dropout(input, drop);
  Tensor x = arange(input.numel(), input.device()).add(seed);
  x = mixed(x, 30, 0xBF58476D1CE4E5B9ull);
  x = mixed(x, 27, 0x94D049BB133111EBull);
  const Tensor kept =
      x.bitwise_right_shift(40).bitwise_and(kSteps - 1).ge(static_cast<double>(drop.threshold));
  return input * kept.to(input.scalar_type()).mul(drop.kept).view(input.sizes());
}

LONGFORMER_REGISTER(r) {
  r.impl<hidden_dropout>("hidden_dropout");
}

}  // namespace longformer
