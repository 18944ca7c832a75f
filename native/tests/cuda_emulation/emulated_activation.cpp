#define LONGFORMER_EMULATION
#include "../../ops/cuda/activation_kernel.h"
#include "../../ops/cuda/kernels/activation.cuh"
#include "emulated_kernels.h"

namespace longformer::test {
namespace {

template <int type, int function, bool backward>
void add() {
  const auto text = cuda::activation_text(type, static_cast<cpu::Activation>(function), backward);
  emulated_kernels()[text.describe()] = [](const void* p) {
    cuda::activate<type, function, backward>(*static_cast<const cuda::ActivationParameters*>(p));
  };
}

template <int type, int... functions>
bool add_all(std::integer_sequence<int, functions...>) {
  (add<type, functions, false>(), ...);
  (add<type, functions, true>(), ...);
  return true;
}
using Functions = std::make_integer_sequence<int, static_cast<int>(cpu::Activation::silu) + 1>;
const bool added = add_all<0>(Functions()) && add_all<1>(Functions()) && add_all<2>(Functions());

}  // namespace
}  // namespace longformer::test
