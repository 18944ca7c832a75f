// Runs kernels on the device and the current stream of a CUDA tensor. A kernel is compiled when it is first
// launched on a device, or taken from the disk's cache, and kept loaded. Nothing waits for the device.
#pragma once
#include "launcher.h"

namespace longformer::cuda {

class DriverLauncher : public Launcher {
 public:
  // Makes the device current as long as the launcher lives. Throws where the driver or libtorch's CUDA part
  // is missing.
  explicit DriverLauncher(longformer::Device device);
  ~DriverLauncher() override;
  DriverLauncher(const DriverLauncher&) = delete;
  DriverLauncher& operator=(const DriverLauncher&) = delete;

  using Launcher::launch;
  void launch(const KernelText& kernel, const Grid& grid, const void* parameters, size_t bytes) override;
  int multiprocessors() const override;
  // 90: 9.0
  int capability() const;

 private:
  struct Device;
  struct Function;
  static Device& device_of(int index);

  Device& device_;
  void* stream_;
  bool pushed_ = false;
};

}  // namespace longformer::cuda
