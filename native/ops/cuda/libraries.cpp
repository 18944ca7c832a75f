#include "libraries.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "../../base/error.h"
#include "../../torch/interface.h"

#if defined(_WIN32)
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace longformer::cuda {
namespace {

namespace fs = std::filesystem;

#if defined(_WIN32)
constexpr const char* kDriver = "nvcuda.dll";
constexpr const char *kNvrtcStart = "nvrtc64_", *kBuiltinsStart = "nvrtc-builtins", *kLibraryEnd = ".dll";
const char* const nvrtc_names[] = {"nvrtc64_130_0.dll", "nvrtc64_120_0.dll", "nvrtc64_112_0.dll"};

void* open_library(const char* name) {
  return LoadLibraryA(name);
}
void* loaded_library(const char* name) {
  return GetModuleHandleA(name);
}
void* symbol(void* library, const char* name) {
  return reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(library), name));
}
std::string open_failure() {
  return text("Windows error ", GetLastError());
}
// The folder of the library that a function is in.
fs::path folder_of(void* function) {
  HMODULE module = nullptr;
  if (!GetModuleHandleExA(
          GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
          static_cast<const char*>(function), &module))
    return {};
  wchar_t path[MAX_PATH * 4] = {};
  GetModuleFileNameW(module, path, MAX_PATH * 4 - 1);
  return fs::path(path).parent_path();
}
#else
constexpr const char* kDriver = "libcuda.so.1";
constexpr const char *kNvrtcStart = "libnvrtc", *kBuiltinsStart = "libnvrtc-builtins", *kLibraryEnd = ".so";
const char* const nvrtc_names[] = {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2", "libnvrtc.so"};

void* open_library(const char* name) {
  return dlopen(name, RTLD_NOW);
}
void* loaded_library(const char* name) {
  return dlopen(name, RTLD_NOW | RTLD_NOLOAD);
}
void* symbol(void* library, const char* name) {
  return dlsym(library, name);
}
std::string open_failure() {
  const char* const words = dlerror();
  return words != nullptr ? words : "";
}
fs::path folder_of(void* function) {
  Dl_info info{};
  if (dladdr(function, &info) == 0 || info.dli_fname == nullptr) return {};
  return fs::path(info.dli_fname).parent_path();
}
#endif

template <class Function>
void find(void* library, const char* library_name, const char* name, Function& function) {
  function = reinterpret_cast<Function>(symbol(library, name));
  LONGFORMER_CHECK(function != nullptr, "longformer: ", library_name, " has no ", name,
                   "; it is too old for the CUDA kernels");
}

Driver load_driver() {
  void* const library = open_library(kDriver);
  LONGFORMER_CHECK(library != nullptr, "longformer: the CUDA kernels need NVIDIA's driver, ", kDriver,
                   ", which is not here (", open_failure(),
                   "); is there an NVIDIA GPU in this machine, or passed to this container?");
  Driver d;
  const auto get = [&](const char* name, auto& function) { find(library, kDriver, name, function); };
  get("cuInit", d.init);
  get("cuDriverGetVersion", d.driver_version);
  get("cuDeviceGet", d.device_get);
  get("cuDeviceGetAttribute", d.device_attribute);
  get("cuDevicePrimaryCtxRetain", d.primary_context);
  get("cuCtxGetCurrent", d.context_current);
  get("cuCtxPushCurrent_v2", d.context_push);
  get("cuCtxPopCurrent_v2", d.context_pop);
  get("cuModuleLoadData", d.module_load);
  get("cuModuleGetFunction", d.module_function);
  get("cuFuncSetAttribute", d.function_attribute);
  get("cuLaunchKernel", d.launch);
  get("cuGetErrorName", d.error_name);
  get("cuGetErrorString", d.error_string);
  d.check(d.init(0), "starting the CUDA driver");
  return d;
}

// The files of a folder that are NVRTC itself, the newest name first.
void add_files(const fs::path& folder, std::vector<std::string>& found) {
  std::vector<std::string> files;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.rfind(kNvrtcStart, 0) == 0 && name.find("builtins") == std::string::npos &&
        name.find(kLibraryEnd) != std::string::npos && name.find(".alt.") == std::string::npos)
      files.push_back(entry.path().string());
  }
  std::sort(files.rbegin(), files.rend());
  found.insert(found.end(), files.begin(), files.end());
}

// NVRTC looks for its builtins by name; from a folder that the linker does not know they must be loaded
// before.
void load_builtins(void* nvrtc_function) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder_of(nvrtc_function), ignored))
    if (entry.path().filename().string().rfind(kBuiltinsStart, 0) == 0)
      open_library(entry.path().string().c_str());
}

// Where libtorch is; empty where none is loaded.
std::string torch_folder() {
  if (!torch::is_loaded()) return {};
  return folder_of(torch::address_in_libtorch()).string();
}

Nvrtc load_nvrtc() {
  void* library = nullptr;
  Nvrtc n;
  std::vector<std::string> candidates;
  if (const char* given = std::getenv("LONGFORMER_NVRTC"); given != nullptr && *given != 0) {
    library = open_library(given);
    LONGFORMER_CHECK(library != nullptr, "longformer: LONGFORMER_NVRTC='", given,
                     "' cannot be loaded: ", open_failure());
    n.path = given;
  }
  for (const char* name : nvrtc_names) {
    if (library != nullptr) break;
    library = loaded_library(name);
    n.path = name;
  }
  if (library == nullptr) candidates = nvrtc_candidates(torch_folder());
  for (const std::string& candidate : candidates) {
    if (library != nullptr) break;
    library = open_library(candidate.c_str());
    n.path = candidate;
  }
  if (library == nullptr) {
    std::string tried;
    for (const std::string& candidate : candidates) tried += (tried.empty() ? "" : ", ") + candidate;
    LONGFORMER_CHECK(
        false, "longformer: the CUDA kernels are compiled by NVRTC, which was not found (tried ", tried,
        "); install it (Debian: libnvrtc12; Python: nvidia-cuda-nvrtc) or name its file in LONGFORMER_NVRTC");
  }
  const auto get = [&](const char* name, auto& function) { find(library, n.path.c_str(), name, function); };
  get("nvrtcVersion", n.version);
  get("nvrtcCreateProgram", n.create);
  get("nvrtcDestroyProgram", n.destroy);
  get("nvrtcCompileProgram", n.compile);
  get("nvrtcGetProgramLogSize", n.log_size);
  get("nvrtcGetProgramLog", n.log);
  get("nvrtcGetCUBINSize", n.cubin_size);
  get("nvrtcGetCUBIN", n.cubin);
  get("nvrtcGetPTXSize", n.ptx_size);
  get("nvrtcGetPTX", n.ptx);
  get("nvrtcGetNumSupportedArchs", n.architecture_count);
  get("nvrtcGetSupportedArchs", n.architectures);
  load_builtins(reinterpret_cast<void*>(n.version));
  int count = 0;
  LONGFORMER_CHECK(n.version(&n.major, &n.minor) == 0 && n.architecture_count(&count) == 0 && count > 0,
                   "longformer: NVRTC from ", n.path, " does not answer");
  n.known.resize(static_cast<size_t>(count));
  LONGFORMER_CHECK(n.architectures(n.known.data()) == 0, "longformer: NVRTC from ", n.path,
                   " does not answer");
  return n;
}

}  // namespace

const Driver& Driver::get() {
  static const Driver driver = load_driver();
  return driver;
}

void Driver::check(int result, const char* what) const {
  if (result == 0) return;
  const char *name = nullptr, *text = nullptr;
  error_name(result, &name);
  error_string(result, &text);
  LONGFORMER_CHECK(false, "longformer: ", what, " failed: ", name != nullptr ? name : "CUDA error", " (",
                   result, "), ", text != nullptr ? text : "no description");
}

const Nvrtc& Nvrtc::get() {
  static const Nvrtc nvrtc = load_nvrtc();
  return nvrtc;
}

std::vector<std::string> nvrtc_candidates(const std::string& torch_folder) {
  std::vector<std::string> found;
  if (!torch_folder.empty()) {
    const fs::path folder(torch_folder);
    add_files(folder, found);
    // .../site-packages/torch/lib -> .../site-packages/nvidia/<package>/lib
    std::error_code ignored;
    std::vector<fs::path> packages;
    for (const auto& entry : fs::directory_iterator(folder.parent_path().parent_path() / "nvidia", ignored))
      packages.push_back(entry.path());
    std::sort(packages.rbegin(), packages.rend());
    for (const fs::path& package : packages) add_files(package / "lib", found);
  }
  found.insert(found.end(), std::begin(nvrtc_names), std::end(nvrtc_names));
  return found;
}

}  // namespace longformer::cuda
