// Lists of the host on the device.
#pragma once
#include <vector>

#include "launcher.h"

namespace longformer::cuda {

// Integers in the parameters of a kernel: nothing waits, and a CUDA graph records it. int32, on the device of
// `like`.
at::Tensor upload(Launcher& launcher, const std::vector<int64_t>& values, const at::Tensor& like,
                  const char* name);

}  // namespace longformer::cuda
