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

struct Compiled {
  std::string cubin, log;  // log: what the assembler says of registers and spills
};

// architecture: 80, 90 ... as in sm_90. Throws c10::Error with the compiler's messages.
Compiled compile(const KernelText& kernel, int architecture);

// The newest architecture that NVRTC has code for and a device of `capability` (90: 9.0) runs.
int architecture_for(int capability, const std::vector<int>& known);

// What a compiled kernel depends on, as the key of the disk's cache.
std::string cache_key(const KernelText& kernel, int architecture, int driver_version);

}  // namespace longformer::cuda
