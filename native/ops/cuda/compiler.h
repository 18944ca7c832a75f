// From a kernel's text to machine code, by NVRTC. Needs no GPU.
#pragma once
#include <string>
#include <vector>

#include "launcher.h"

namespace longformer::cuda {

struct KernelFile {
  const char *name, *text;
};
// The files of kernels/, put into the library by CMake.
const std::vector<KernelFile>& kernel_files();

// The kernels besides those of attention (configuration.h), for compiling them all.
std::vector<KernelText> all_other_kernels();

// The code that a device runs: machine code of its own generation, or PTX that its driver translates.
struct Target {
  int architecture = 0;  // 80 or 90, as in sm_90
  bool ptx = false;

  std::string name() const;  // "sm_90", "compute_90"
};

struct Compiled {
  std::string code, log;  // log: what the assembler says of registers and spills, nothing of PTX
};

// Throws std::runtime_error with the compiler's messages.
Compiled compile(const KernelText& kernel, const Target& target);

// The newest architecture that NVRTC has code for and a device of `capability` (90: 9.0) runs: of its own
// generation, or else the newest of all before it as PTX. Throws std::runtime_error where there is neither.
Target target_for(int capability, const std::vector<int>& known);

// Everything that a compiled kernel depends on, as the key of the disk's cache.
std::string cache_key(const KernelText& kernel, const Target& target, int driver_version);

}  // namespace longformer::cuda
