#include "interface.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include "../base/error.h"
#include "internal.h"

#if defined(_WIN32)
#include <windows.h>
// psapi.h declares it under a name that depends on the targeted version of Windows.
extern "C" __declspec(dllimport) BOOL WINAPI
    K32EnumProcessModules(HANDLE process, HMODULE* modules, DWORD bytes, DWORD* needed);
#else
#include <dlfcn.h>
#include <link.h>
#endif

namespace longformer::torch {

#define LONGFORMER_TORCH_DEFINE(result, name, arguments) result(*name) arguments = nullptr;
LONGFORMER_TORCH_FUNCTIONS(LONGFORMER_TORCH_DEFINE)
LONGFORMER_TORCH_OPTIONAL_FUNCTIONS(LONGFORMER_TORCH_DEFINE)
#undef LONGFORMER_TORCH_DEFINE

namespace {

#if defined(_WIN32)
constexpr const char *kCpuLibrary = "torch_cpu.dll", *kCudaLibrary = "torch_cuda.dll";

std::string path_of(HMODULE module) {
  std::wstring wide(32768, L'\0');
  wide.resize(GetModuleFileNameW(module, wide.data(), static_cast<DWORD>(wide.size())));
  std::string path(static_cast<size_t>(WideCharToMultiByte(
                       CP_UTF8, 0, wide.data(), static_cast<int>(wide.size()), nullptr, 0, nullptr, nullptr)),
                   '\0');
  WideCharToMultiByte(CP_UTF8, 0, wide.data(), static_cast<int>(wide.size()), path.data(),
                      static_cast<int>(path.size()), nullptr, nullptr);
  return path;
}

std::vector<HMODULE> modules() {
  std::vector<HMODULE> all(1024);
  DWORD needed = 0;
  if (!K32EnumProcessModules(GetCurrentProcess(), all.data(),
                             static_cast<DWORD>(all.size() * sizeof(HMODULE)), &needed))
    return {};
  all.resize(std::min<size_t>(all.size(), needed / sizeof(HMODULE)));
  return all;
}

// Returns the paths of the loaded libraries with this file name.
std::vector<std::string> loaded_paths(const std::string& name) {
  std::vector<std::string> paths;
  for (HMODULE module : modules()) {
    const std::string path = path_of(module);
    const std::string file = path.substr(path.find_last_of("\\/") + 1);
    if (file.size() == name.size() && _stricmp(file.c_str(), name.c_str()) == 0) paths.push_back(path);
  }
  return paths;
}

void* open_loaded(const std::string& path) {
  for (HMODULE module : modules())
    if (path_of(module) == path) return module;
  return nullptr;
}

void* symbol(void* library, const char* name) {
  return reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(library), name));
}
#else
constexpr const char *kCpuLibrary = "libtorch_cpu.so", *kCudaLibrary = "libtorch_cuda.so";

struct Search {
  const std::string& name;
  std::vector<std::string> paths;
};

// Returns the paths of the loaded libraries whose file name starts with this one. Distributions append a
// version.
std::vector<std::string> loaded_paths(const std::string& name) {
  Search search{name, {}};
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* data) {
        auto& found = *static_cast<Search*>(data);
        const std::string path = info->dlpi_name != nullptr ? info->dlpi_name : "";
        if (path.compare(path.rfind('/') + 1, found.name.size(), found.name) == 0)
          found.paths.push_back(path);
        return 0;
      },
      &search);
  return search.paths;
}

void* open_loaded(const std::string& path) {
  return dlopen(path.c_str(), RTLD_LAZY | RTLD_NOLOAD);
}

void* symbol(void* library, const char* name) {
  return dlsym(library, name);
}
#endif

std::mutex mutex;
std::atomic<bool> loaded{false};
std::atomic<void*> cpu_library{nullptr}, cuda_library{nullptr};
int loaded_version = 0;

std::string version_text(uint64_t abi) {
  return text(abi >> 56, ".", (abi >> 48) & 0xff);
}

void* only_library() {
  const std::vector<std::string> paths = loaded_paths(kCpuLibrary);
  if (paths.empty())
    throw LoadError(text("no libtorch is loaded in this process (looked for a library called ", kCpuLibrary,
                         "): load libtorch 2.10 or later before the operators of Longformer"));
  if (paths.size() > 1)
    throw LoadError(text("two libtorch are loaded in this process, ", paths[0], " and ", paths[1],
                         ": only one of them can be used, so load one alone"));
  void* library = open_loaded(paths[0]);
  if (library == nullptr) throw LoadError(text(paths[0], " is loaded, but cannot be opened"));
  const auto abi = reinterpret_cast<uint64_t (*)()>(symbol(library, "aoti_torch_abi_version"));
  if (abi == nullptr)
    throw VersionError(text("the libtorch of this process, ", paths[0], ", is older than 2.10"));
  if (abi() < kInterface)
    throw VersionError(text("the libtorch of this process, ", paths[0], ", is ", version_text(abi()),
                            ": 2.10 or later is needed"));
#define LONGFORMER_TORCH_FIND(result, name, arguments)                                             \
  if (symbol(library, #name) == nullptr)                                                           \
    throw LoadError(text("the libtorch of this process, ", paths[0], ", is ", version_text(abi()), \
                         " but lacks " #name));
  LONGFORMER_TORCH_FUNCTIONS(LONGFORMER_TORCH_FIND)
#undef LONGFORMER_TORCH_FIND
  return library;
}

}  // namespace

void load() {
  if (is_loaded()) return;
  std::lock_guard<std::mutex> lock(mutex);
  if (is_loaded()) return;
  void* library = only_library();
#define LONGFORMER_TORCH_FILL(result, name, arguments) \
  name = reinterpret_cast<result(*) arguments>(symbol(library, #name));
  LONGFORMER_TORCH_FUNCTIONS(LONGFORMER_TORCH_FILL)
  LONGFORMER_TORCH_OPTIONAL_FUNCTIONS(LONGFORMER_TORCH_FILL)
#undef LONGFORMER_TORCH_FILL
  cpu_library = library;
  const uint64_t abi = aoti_torch_abi_version();
  loaded_version = static_cast<int>((abi >> 56) * 100 + ((abi >> 48) & 0xff));
  keep_error_words();
  loaded = true;
}

bool is_loaded() {
  return loaded.load(std::memory_order_acquire);
}

int version() {
  return is_loaded() ? loaded_version : 0;
}

void* address_in_libtorch() {
  return reinterpret_cast<void*>(aoti_torch_abi_version);
}

void* find_function(const char* name) {
  void* library = cpu_library.load();
  return library != nullptr ? symbol(library, name) : nullptr;
}

void* find_cuda_function(const char* name) {
  void* library = cuda_library.load();
  if (library == nullptr) {
    const std::vector<std::string> paths = loaded_paths(kCudaLibrary);
    if (paths.empty()) return nullptr;
    library = open_loaded(paths[0]);
    cuda_library = library;
  }
  return library != nullptr ? symbol(library, name) : nullptr;
}

}  // namespace longformer::torch
