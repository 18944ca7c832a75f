#define LONGFORMER_EMULATION
#include "emulated_kernels.h"

#include <stdexcept>

#include "../../ops/cuda/kernels/prepare.cuh"
#include "emulation.h"

namespace longformer::test {

std::map<std::string, EmulatedKernel>& emulated_kernels() {
  static std::map<std::string, EmulatedKernel> all = {
      {"store_integers.cu",
       [](const void* p) { cuda::store_integers(*static_cast<const cuda::IntegerParameters*>(p)); }},
      {"list_globals.cu",
       [](const void* p) { cuda::list_globals(*static_cast<const cuda::GlobalsParameters*>(p)); }},
  };
  return all;
}

EmulatedLauncher::~EmulatedLauncher() {
  emulation::allow_nothing();
}

void EmulatedLauncher::launch(const cuda::KernelText& kernel, const cuda::Grid& grid, const void* parameters,
                              size_t) {
  const auto found = emulated_kernels().find(kernel.describe());
  if (found == emulated_kernels().end()) throw std::runtime_error("not emulated: " + kernel.describe());
  emulation::Launch launch;
  launch.grid_x = static_cast<int>(grid.x);
  launch.grid_y = static_cast<int>(grid.y);
  launch.threads = static_cast<int>(grid.threads);
  launch.shared = grid.shared;
  launch.seed = seed_;
  try {
    emulation::run(launch, [&] { found->second(parameters); });
  } catch (const std::exception& e) {
    throw std::runtime_error(kernel.describe() + ": " + e.what());
  }
}

void EmulatedLauncher::touches(const Tensor& t, const char* name, bool writes) {
  if (t.numel() == 0) return;
  int64_t last = 0;
  for (int64_t i = 0; i < t.dim(); ++i) last += (t.size(i) - 1) * t.stride(i);
  emulation::allow(t.data_ptr(), static_cast<size_t>((last + 1) * t.element_size()), name, writes);
}

}  // namespace longformer::test
