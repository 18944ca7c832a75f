// Lists of the host on the device.
#pragma once
#include <vector>

#include "launcher.h"

namespace longformer::cuda {

// Integers in the parameters of a kernel: nothing waits. int32, on the device of
// `like`.
Tensor upload(Launcher& launcher, const std::vector<int64_t>& values, const Tensor& like, const char* name);

}  // namespace longformer::cuda
