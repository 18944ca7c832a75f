// How a kernel is launched. *_kernel.cpp prepares the parameters of a launch. The CUDA driver runs it
// (driver_launcher.cpp), or the emulation of the tests. embed.cpp, linear.cpp and the like are the operators.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "../../base/tensor.h"

namespace longformer::cuda {

// A kernel of one configuration: a file of kernels/ and the names that it leaves open. Its entry is
// `longformer_kernel`.
struct KernelText {
  const char* file;
  std::vector<std::pair<const char*, std::string>> names;

  std::string describe() const;  // "attention.cu LF_KERNEL=banded_forward LF_TYPE=1 ..."
};

constexpr int kOldestCapability = 80;  // 8.0: the first with cp.async and products of bfloat16

struct Grid {
  unsigned x = 1, y = 1, threads = 32;
  size_t shared = 0;  // bytes
};

class Launcher {
 public:
  virtual ~Launcher() = default;
  // The kernel takes one struct by value.
  virtual void launch(const KernelText& kernel, const Grid& grid, const void* parameters, size_t bytes) = 0;
  virtual int multiprocessors() const = 0;
  // Called with every tensor whose address is handed to a kernel.
  virtual void touches(const Tensor& tensor, const char* name, bool writes) {}

  template <class Parameters>
  void launch(const KernelText& kernel, const Grid& grid, const Parameters& parameters) {
    static_assert(sizeof(Parameters) <= 4096, "what a kernel can be handed");
    launch(kernel, grid, &parameters, sizeof(Parameters));
  }
  template <class T = void>
  const T* reads(const Tensor& t, const char* name) {
    touches(t, name, false);
    return static_cast<const T*>(t.data_ptr());
  }
  template <class T = void>
  T* writes(const Tensor& t, const char* name) {
    touches(t, name, true);
    return static_cast<T*>(t.data_ptr());
  }
};

}  // namespace longformer::cuda
