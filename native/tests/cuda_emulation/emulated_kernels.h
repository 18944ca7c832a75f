// The kernel texts of ops/cuda/kernels, compiled by the C++ compiler against the emulation, by the names
// under which the host launches them.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "../../ops/cuda/configuration.h"
#include "../../ops/cuda/launcher.h"

namespace longformer::test {

using EmulatedKernel = void (*)(const void* parameters);

std::map<std::string, EmulatedKernel>& emulated_kernels();

// Runs kernels on tensors of the CPU. Other configurations are chosen for other numbers of multiprocessors.
class EmulatedLauncher : public cuda::Launcher {
 public:
  explicit EmulatedLauncher(int multiprocessors, uint64_t seed = 1)
      : multiprocessors_(multiprocessors), seed_(seed) {}
  ~EmulatedLauncher() override;
  using Launcher::launch;
  void launch(const cuda::KernelText& kernel, const cuda::Grid& grid, const void* parameters,
              size_t bytes) override;
  int multiprocessors() const override { return multiprocessors_; }
  void touches(const Tensor& tensor, const char* name, bool writes) override;

 private:
  int multiprocessors_;
  uint64_t seed_;
};

}  // namespace longformer::test
