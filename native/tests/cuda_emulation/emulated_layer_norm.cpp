#define LONGFORMER_EMULATION
#include "../../ops/cuda/kernels/layer_norm.cuh"
#include "emulated_kernels.h"

namespace longformer::test {
namespace {

template <int type, int chunks>
void call(const void* parameters) {
  cuda::add_layer_norm<type, chunks>(*static_cast<const cuda::NormParameters*>(parameters));
}

template <int type>
bool add() {
  const auto name = [](int chunks) {
    return "layer_norm.cu LF_TYPE=" + std::to_string(type) + " LF_CHUNKS=" + std::to_string(chunks);
  };
  emulated_kernels()[name(1)] = &call<type, 1>;
  emulated_kernels()[name(2)] = &call<type, 2>;
  emulated_kernels()[name(3)] = &call<type, 3>;
  emulated_kernels()[name(6)] = &call<type, 6>;
  return true;
}
const bool added = add<0>() && add<1>() && add<2>();

}  // namespace
}  // namespace longformer::test
