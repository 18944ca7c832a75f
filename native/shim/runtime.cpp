// The library as a whole: messages, versions, libraries, threads, devices, seeds, modes.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Logging.h>
#include <dlfcn.h>
#include <link.h>
#include <torch/csrc/api/include/torch/version.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "internal.h"

namespace lf_shim {
namespace {

thread_local std::string last_message;
thread_local const char* last_fixed = nullptr;

// "1.13.0" -> "1.13"
std::string major_minor(const std::string& version) {
  return version.substr(0, version.find('.', version.find('.') + 1));
}

// The wanted thread count, and what the calling thread was last told.
std::atomic<int> wanted_threads{0};
thread_local int applied_threads = 0;

int default_threads() {
  if (const char* text = std::getenv("OMP_NUM_THREADS")) {
    const int threads = std::atoi(text);
    if (threads > 0) return threads;
  }
  const unsigned cores = std::thread::hardware_concurrency();
  return cores > 0 ? static_cast<int>(cores) : 1;
}

struct ModeGuard {
  virtual ~ModeGuard() = default;
};
template <class Guard>
struct ModeGuardOf : ModeGuard {
  Guard guard;
  explicit ModeGuardOf(bool enabled) : guard(enabled) {}
};

}  // namespace

std::string file_name(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

std::string real_path(const std::string& path) {
  std::unique_ptr<char, void (*)(void*)> real(realpath(path.c_str(), nullptr), std::free);
  return real ? real.get() : "";
}

// The path of a library in this process that has the file name asked for; empty if there is none.
std::string loaded_path(const std::string& name) {
  std::pair<const std::string&, std::string> search(name, "");
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* data) {
        auto& found = *static_cast<std::pair<const std::string&, std::string>*>(data);
        if (!info->dlpi_name || file_name(info->dlpi_name) != found.first) return 0;
        found.second = info->dlpi_name;
        return 1;
      },
      &search);
  return search.second;
}

lf_shim_status fail(lf_shim_status status, const char* message) noexcept {
  try {
    last_fixed = nullptr;
    last_message = message;
  } catch (...) {
    last_fixed = "out of memory (the message of the error was lost)";
  }
  return status;
}

const char* built_version() {
  return TORCH_VERSION;
}

// libtorch tells its version only inside the text of its configuration.
const char* loaded_version() {
  static const std::string version = [] {
    const std::string text = at::show_config(), key = "TORCH_VERSION=";
    const size_t start = text.find(key);
    if (start == std::string::npos) return std::string("unknown");
    const size_t value = start + key.size();
    return text.substr(value, text.find_first_of(", \n", value) - value);
  }();
  return version.c_str();
}

void check_version() {
  const std::string built = built_version(), loaded = loaded_version();
  if (major_minor(built) != major_minor(loaded))
    throw Error(LF_SHIM_VERSION,
                "liblongformer_shim was built against libtorch " + built + " but libtorch " + loaded +
                    " is loaded: build the native libraries again with LIBTORCH naming that libtorch");
}

// libtorch 1.13 walks and names the C++ stack for every exception, 10 ms each (seconds for the first), and
// nothing here shows it. Who debugs libtorch itself sets TORCH_SHOW_CPP_STACKTRACES, as with Python's torch,
// and keeps it.
void skip_stack_traces() {
  if (!std::getenv("TORCH_SHOW_CPP_STACKTRACES"))
    c10::SetStackTraceFetcher(std::function<std::string()>([] { return std::string(); }));
}

void set_thread_count(int threads) {
  if (threads < 1)
    throw Error(LF_SHIM_ARGUMENT, "threads must be at least 1, given " + std::to_string(threads));
  wanted_threads.store(threads, std::memory_order_relaxed);
  apply_thread_count();
}

void apply_thread_count() {
  const int wanted = wanted_threads.load(std::memory_order_relaxed);
  if (wanted == applied_threads || wanted == 0) return;
  at::set_num_threads(wanted);
  applied_threads = wanted;
}

c10::ScalarType checked_dtype(int64_t dtype) {
  if (dtype < 0 || dtype >= static_cast<int64_t>(c10::ScalarType::NumOptions) ||
      dtype == static_cast<int64_t>(c10::ScalarType::Undefined))
    throw Error(LF_SHIM_ARGUMENT, std::string("libtorch ") + loaded_version() +
                                      " has no dtype with the number " + std::to_string(dtype));
  return static_cast<c10::ScalarType>(dtype);
}

}  // namespace lf_shim

using namespace lf_shim;

const char* lf_shim_last_error(void) {
  return last_fixed ? last_fixed : last_message.c_str();
}

lf_shim_status lf_shim_initialize(int32_t abi_version, int32_t threads) {
  return guarded([&] {
    if (abi_version != LF_SHIM_ABI_VERSION)
      throw Error(LF_SHIM_VERSION, "liblongformer_shim has ABI version " +
                                       std::to_string(LF_SHIM_ABI_VERSION) + ", the caller expects " +
                                       std::to_string(abi_version));
    check_version();
    if (threads < 0)
      throw Error(LF_SHIM_ARGUMENT, "threads must not be negative, given " + std::to_string(threads));
    static std::mutex mutex;
    static bool done = false;
    std::lock_guard<std::mutex> lock(mutex);
    if (done) return;
    set_up_memory();
    load_cuda_libraries();
    skip_stack_traces();
    set_thread_count(threads > 0 ? threads : default_threads());
    done = true;
  });
}

lf_shim_status lf_shim_version(const char** built, const char** loaded) {
  return guarded([&] {
    *required(built, "built") = built_version();
    *required(loaded, "loaded") = loaded_version();
  });
}

lf_shim_status lf_shim_load_library(const char* path) {
  return guarded([&] {
    const std::string wanted = required(path, "path");
    if (wanted.empty() || wanted[0] != '/')
      throw Error(LF_SHIM_ARGUMENT, "a library is loaded by its absolute path, given \"" + wanted + "\"");
    const std::string real = real_path(wanted);
    if (real.empty()) throw Error(LF_SHIM_NOT_FOUND, "library not found: " + wanted);
    static std::mutex mutex;
    std::lock_guard<std::mutex> lock(mutex);
    const std::string present = loaded_path(file_name(real));
    if (!present.empty()) {
      if (real_path(present) == real) return;
      throw Error(LF_SHIM_ARGUMENT,
                  "cannot load " + real + ": " + present +
                      " is loaded already, and registering the same operators twice would end the process");
    }
    if (!dlopen(real.c_str(), RTLD_NOW | RTLD_LOCAL)) throw Error(LF_SHIM_TORCH_ERROR, dlerror());
  });
}

lf_shim_status lf_shim_mode_enter(int32_t mode, void** guard) {
  return guarded([&] {
    required(guard, "guard");
    std::unique_ptr<ModeGuard> entered;
    switch (mode) {
      case LF_SHIM_NO_GRAD:
        entered = std::make_unique<ModeGuardOf<c10::AutoGradMode>>(false);
        break;
      case LF_SHIM_ENABLE_GRAD:
        entered = std::make_unique<ModeGuardOf<c10::AutoGradMode>>(true);
        break;
      case LF_SHIM_INFERENCE_MODE:
        entered = std::make_unique<ModeGuardOf<c10::InferenceMode>>(true);
        break;
      default:
        throw Error(LF_SHIM_ARGUMENT, "no mode has the number " + std::to_string(mode));
    }
    *guard = entered.release();
  });
}

lf_shim_status lf_shim_mode_exit(void* guard) {
  return guarded([&] { delete static_cast<ModeGuard*>(required(guard, "guard")); });
}

lf_shim_status lf_shim_mode_query(int32_t* grad, int32_t* inference) {
  return guarded([&] {
    *required(grad, "grad") = c10::GradMode::is_enabled();
    *required(inference, "inference") = c10::InferenceMode::is_enabled();
  });
}

lf_shim_status lf_shim_manual_seed(int64_t seed) {
  return guarded([&] { at::manual_seed(static_cast<uint64_t>(seed)); });
}

lf_shim_status lf_shim_set_threads(int32_t threads) {
  return guarded([&] { set_thread_count(threads); });
}

lf_shim_status lf_shim_get_threads(int32_t* threads) {
  return guarded([&] {
    apply_thread_count();
    *required(threads, "threads") = at::get_num_threads();
  });
}
