// Devices: which there are, what is said where one is missing, their memory, and how CUDA multiplies.
#include <ATen/Context.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>

#include <climits>

#include "internal.h"

namespace lf_shim {
namespace {

// libtorch_cuda.so, where it lies beside libtorch_cpu.so; and why it could not be loaded.
void* cuda_library = nullptr;
std::string& cuda_failure() {
  static std::string text;
  return text;
}

std::string missing(c10::DeviceType kind, const std::string& name) {
  const std::string start =
      "device \"" + name + "\" is not available: libtorch " + std::string(loaded_version());
  if (c10::impl::hasDeviceGuardImpl(kind))
    return start + " serves it but finds no such device on this machine" +
           (kind == c10::DeviceType::CUDA ? " (nvidia-smi lists what the driver sees; CUDA_VISIBLE_DEVICES "
                                            "hides devices)"
                                          : "");
  if (kind != c10::DeviceType::CUDA) return start + " as loaded here was built without " + name;
  if (!cuda_failure().empty()) return start + " has a part for it that cannot be loaded: " + cuda_failure();
  return start +
         " as loaded here was built without cuda; build against one that has it: make LIBTORCH=DIR, for "
         "example the torch folder of a Python with PyTorch for CUDA";
}

// A function of CUDA's runtime, found through libtorch_cuda.so, which is linked to it; null where there is
// none.
template <class Function>
Function cuda_runtime(const char* name) {
  return cuda_library ? reinterpret_cast<Function>(dlsym(cuda_library, name)) : nullptr;
}

}  // namespace

// A CUDA libtorch registers its devices and kernels from libraries that nothing here is linked to.
void load_cuda_libraries() {
  const std::string cpu = loaded_path("libtorch_cpu.so");
  const size_t slash = cpu.rfind('/');
  if (slash == std::string::npos) return;
  const std::string cuda = cpu.substr(0, slash + 1) + "libtorch_cuda.so";
  if (real_path(cuda).empty()) return;
  cuda_library = dlopen(cuda.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (!cuda_library) cuda_failure() = dlerror();
}

int device_count(int64_t type) {
  if (type == 0) return 1;
  if (type < 0 || type >= static_cast<int64_t>(c10::COMPILE_TIME_MAX_DEVICE_TYPES)) return 0;
  const auto kind = static_cast<c10::DeviceType>(type);
  if (kind == c10::DeviceType::Meta) return 1;
  return c10::impl::hasDeviceGuardImpl(kind) ? c10::impl::VirtualGuardImpl(kind).deviceCount() : 0;
}

c10::Device checked_device(int64_t type, int64_t index) {
  if (type < 0 || type >= static_cast<int64_t>(c10::COMPILE_TIME_MAX_DEVICE_TYPES))
    throw Error(LF_SHIM_ARGUMENT, "no device type has the number " + std::to_string(type));
  const auto kind = static_cast<c10::DeviceType>(type);
  const std::string name = c10::DeviceTypeName(kind, /*lower_case=*/true);
  const int count = device_count(type);
  if (count == 0) throw Error(LF_SHIM_DEVICE, missing(kind, name));
  if (index >= count && kind != c10::DeviceType::CPU && kind != c10::DeviceType::Meta)
    throw Error(LF_SHIM_DEVICE, "device \"" + name + ":" + std::to_string(index) +
                                    "\" is not available: this machine has " + std::to_string(count) +
                                    " of them, numbered from 0");
  if (index < -1 || index > SCHAR_MAX)
    throw Error(LF_SHIM_ARGUMENT, "a device index lies in -1..127, given " + std::to_string(index));
  return c10::Device(kind, static_cast<c10::DeviceIndex>(index));
}

}  // namespace lf_shim

using namespace lf_shim;

lf_shim_status lf_shim_device_count(int32_t device_type, int32_t* count) {
  return guarded([&] { *required(count, "count") = device_count(device_type); });
}

lf_shim_status lf_shim_device_memory(int32_t device_type, int32_t device_index, int64_t* free,
                                     int64_t* total) {
  return guarded([&] {
    *required(free, "free") = *required(total, "total") = 0;
    const c10::Device device = checked_device(device_type, device_index);
    if (!device.is_cuda()) return;
    // cudaError_t cudaMemGetInfo(size_t* free, size_t* total), of the present device.
    const auto ask = cuda_runtime<int (*)(size_t*, size_t*)>("cudaMemGetInfo");
    if (!ask) return;
    const c10::DeviceGuard guard(device);
    size_t free_bytes = 0, total_bytes = 0;
    if (ask(&free_bytes, &total_bytes) != 0) return;
    *free = static_cast<int64_t>(free_bytes), *total = static_cast<int64_t>(total_bytes);
  });
}

lf_shim_status lf_shim_device_synchronize(int32_t device_type, int32_t device_index) {
  return guarded([&] {
    const c10::Device device = checked_device(device_type, device_index);
    if (!device.is_cuda()) return;
    const auto wait = cuda_runtime<int (*)()>("cudaDeviceSynchronize");
    if (!wait) throw Error(LF_SHIM_NOT_FOUND, "cudaDeviceSynchronize is not to be found beside libtorch");
    const c10::DeviceGuard guard(device);
    const int error = wait();
    if (error != 0)
      throw Error(LF_SHIM_TORCH_ERROR, "the device failed: CUDA error " + std::to_string(error));
  });
}

lf_shim_status lf_shim_set_tf32(int32_t allowed) {
  return guarded([&] {
    at::globalContext().setAllowTF32CuBLAS(allowed != 0);
    at::globalContext().setAllowTF32CuDNN(allowed != 0);
  });
}

lf_shim_status lf_shim_get_tf32(int32_t* allowed) {
  return guarded([&] { *required(allowed, "allowed") = at::globalContext().allowTF32CuBLAS(); });
}
