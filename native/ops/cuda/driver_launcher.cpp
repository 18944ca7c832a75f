#include "driver_launcher.h"

#include <memory>
#include <mutex>
#include <unordered_map>

#include "../../torch/cuda.h"
#include "compiler.h"
#include "disk_cache.h"
#include "libraries.h"

namespace longformer::cuda {
namespace {

// CUdevice_attribute and CUfunction_attribute
constexpr int kMultiprocessors = 16, kCapabilityMajor = 75, kCapabilityMinor = 76;
constexpr int kMaxDynamicSharedBytes = 8;
constexpr size_t kSharedWithoutAsking = 48 << 10;

}  // namespace

struct DriverLauncher::Function {
  void* handle;
};

struct DriverLauncher::Device {
  void* context = nullptr;
  int multiprocessors = 0, capability = 0, driver_version = 0;
  Target target;
  std::mutex mutex;
  std::unordered_map<std::string, Function> functions;

  Function load(const KernelText& kernel, const std::string& description, size_t shared);
};

DriverLauncher::Device& DriverLauncher::device_of(int index) {
  static std::mutex mutex;
  static std::unordered_map<int, std::unique_ptr<Device>> devices;
  const std::lock_guard<std::mutex> lock(mutex);
  std::unique_ptr<Device>& device = devices[index];
  if (device != nullptr) return *device;
  const Driver& driver = Driver::get();
  auto fresh = std::make_unique<Device>();
  int handle = 0, major = 0, minor = 0;
  driver.check(driver.device_get(&handle, index), "asking for the CUDA device");
  driver.check(driver.device_attribute(&fresh->multiprocessors, kMultiprocessors, handle),
               "asking the CUDA device");
  driver.check(driver.device_attribute(&major, kCapabilityMajor, handle), "asking the CUDA device");
  driver.check(driver.device_attribute(&minor, kCapabilityMinor, handle), "asking the CUDA device");
  driver.check(driver.driver_version(&fresh->driver_version), "asking the CUDA driver");
  // libtorch's context, for as long as the process lives.
  driver.check(driver.primary_context(&fresh->context, handle), "taking the CUDA context");
  fresh->capability = 10 * major + minor;
  device = std::move(fresh);
  return *device;
}

DriverLauncher::DriverLauncher(longformer::Device device)
    : device_(device_of(device.index)), stream_(torch::current_cuda_stream(device.index)) {
  const Driver& driver = Driver::get();
  void* current = nullptr;
  driver.check(driver.context_current(&current), "asking for the CUDA context");
  // The context of libtorch's device is the current device for libtorch too, as long as it is on top.
  if (current == device_.context) return;
  driver.check(driver.context_push(device_.context), "making the CUDA context current");
  pushed_ = true;
}

DriverLauncher::~DriverLauncher() {
  void* context;
  if (pushed_) Driver::get().context_pop(&context);
}

int DriverLauncher::multiprocessors() const {
  return device_.multiprocessors;
}
int DriverLauncher::capability() const {
  return device_.capability;
}

DriverLauncher::Function DriverLauncher::Device::load(const KernelText& kernel,
                                                      const std::string& description, size_t shared) {
  const Driver& driver = Driver::get();
  if (target.architecture == 0) target = target_for(capability, Nvrtc::get().known);
  const DiskCache cache(DiskCache::default_folder());
  const std::string key = cache_key(kernel, target, driver_version);
  std::optional<std::string> code = cache.read(key);
  if (!code.has_value()) {
    code = compile(kernel, target).code;
    cache.write(key, *code);
  }
  void *module = nullptr, *function = nullptr;
  driver.check(driver.module_load(&module, code->data()), ("loading " + description).c_str());
  driver.check(driver.module_function(&function, module, "longformer_kernel"),
               ("loading " + description).c_str());
  if (shared > kSharedWithoutAsking)
    driver.check(driver.function_attribute(function, kMaxDynamicSharedBytes, static_cast<int>(shared)),
                 ("taking " + std::to_string(shared) + " bytes of shared memory for " + description).c_str());
  return {function};
}

void DriverLauncher::launch(const KernelText& kernel, const Grid& grid, const void* parameters, size_t) {
  const std::string description = kernel.describe();
  Function function;
  {
    const std::lock_guard<std::mutex> lock(device_.mutex);
    const auto found = device_.functions.find(description);
    function = found != device_.functions.end()
                   ? found->second
                   : device_.functions.emplace(description, device_.load(kernel, description, grid.shared))
                         .first->second;
  }
  void* arguments[] = {const_cast<void*>(parameters)};
  const Driver& driver = Driver::get();
  driver.check(driver.launch(function.handle, grid.x, grid.y, 1, grid.threads, 1, 1,
                             static_cast<unsigned>(grid.shared), stream_, arguments, nullptr),
               ("launching " + description).c_str());
}

}  // namespace longformer::cuda
