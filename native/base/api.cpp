// The functions of api.h. No exception leaves them.
#include "api.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <new>
#include <string>

#include "../torch/cuda.h"
#include "../torch/internal.h"
#include "../torch/memory.h"
#include "block_cache.h"
#include "parallel.h"
#include "registry.h"

#if !defined(_WIN32)
#include <pthread.h>
#endif

namespace longformer::torch {
namespace {

thread_local std::string last_message;
thread_local const char* last_fixed = nullptr;  // where the message itself found no memory
std::atomic<bool> used{false}, forked{false};

longformer_status fail(longformer_status status, const char* message) noexcept {
  try {
    last_fixed = nullptr;
    last_message = message;
  } catch (...) {
    last_fixed = "out of memory (the message of the error was lost)";
  }
  return status;
}

longformer_status status_of(const TorchError& e) {
  const std::string words = e.what();
  if (words.find("CUDA out of memory") != std::string::npos) return LONGFORMER_DEVICE_MEMORY;
  if (words.find("DefaultCPUAllocator") != std::string::npos) return LONGFORMER_OUT_OF_MEMORY;
  return LONGFORMER_TORCH_ERROR;
}

// Runs the body of an exported function and turns an exception into a status and a message.
template <class Body>
longformer_status guarded(const Body& body) noexcept {
  try {
    body();
    return LONGFORMER_OK;
  } catch (const VersionError& e) {
    return fail(LONGFORMER_VERSION, e.what());
  } catch (const LoadError& e) {
    return fail(LONGFORMER_NOT_FOUND, e.what());
  } catch (const TorchError& e) {
    return fail(status_of(e), e.what());
  } catch (const ForkedError& e) {
    return fail(LONGFORMER_DEVICE, e.what());
  } catch (const NotImplementedError& e) {
    return fail(LONGFORMER_DEVICE, e.what());
  } catch (const std::bad_alloc&) {
    return fail(LONGFORMER_OUT_OF_MEMORY, "out of memory");
  } catch (const std::logic_error& e) {  // ValueError, IndexError
    return fail(LONGFORMER_ARGUMENT, e.what());
  } catch (const std::exception& e) {
    return fail(LONGFORMER_TORCH_ERROR, e.what());
  } catch (...) {
    return fail(LONGFORMER_TORCH_ERROR, "unknown C++ exception");
  }
}

template <class T>
T* required(T* pointer, const char* what) {
  LONGFORMER_CHECK_VALUE(pointer != nullptr, what, " must not be null");
  return pointer;
}

void initialize() {
  static std::mutex mutex;
  static std::atomic<bool> done{false};
  refuse_if_forked();
  if (done.load(std::memory_order_acquire)) return;
  std::lock_guard<std::mutex> lock(mutex);
  if (done) return;
  load();
#if !defined(_WIN32)
  pthread_atfork(nullptr, nullptr, [] { forked = used.load(); });
  register_all();
#endif
  done = true;
}

// torch.ops.load_library only loads the library, so it registers its operators here. Where there is no
// libtorch yet, a later call of initialize reports the reason.
#if !defined(_WIN32)
__attribute__((constructor)) void initialize_at_load() {
  try {
    initialize();
  } catch (...) {
  }
}
#endif

TensorHandle first_tensor(const longformer_value* arguments, int32_t n) {
  for (int32_t i = 0; i < n; ++i) {
    const void* pointer = arguments[i].data.pointer;
    if (arguments[i].tag == LONGFORMER_TENSOR && pointer != nullptr)
      return static_cast<TensorHandle>(const_cast<void*>(pointer));
    if (arguments[i].tag != LONGFORMER_TENSOR_LIST) continue;
    const auto* handles = static_cast<TensorHandle const*>(pointer);
    for (int32_t j = 0; handles != nullptr && j < arguments[i].n; ++j)
      if (handles[j] != nullptr) return handles[j];
  }
  return nullptr;
}

// The kernels of an operator have the same arguments and results on every device.
const Kernel& any_kernel(const Operator& op) {
  const Kernel* kernel = op.kernels;
  while (kernel->direct == nullptr) ++kernel;
  return *kernel;
}

const Kernel& kernel_for(const Operator& op, const longformer_value* arguments, int32_t n) {
  Device device;
  if (const TensorHandle first = first_tensor(arguments, n)) device = Tensor::borrow(first).device();
  const Key key = device.type == DeviceType::cuda   ? Key::cuda
                  : device.type == DeviceType::meta ? Key::meta
                                                    : Key::cpu;
  const Kernel& kernel = op.kernels[static_cast<int>(key)];
  const bool known = device.type == DeviceType::cpu || key != Key::cpu;
  LONGFORMER_CHECK_IMPLEMENTED(known && kernel.direct != nullptr, "longformer::", op.name,
                               " does not run on ", device);
  return kernel;
}

Device checked_device(int32_t type, int32_t index) {
  const auto device = static_cast<DeviceType>(type);
  LONGFORMER_CHECK_VALUE(
      device == DeviceType::cpu || device == DeviceType::cuda || device == DeviceType::meta,
      "device types are 0 (cpu), 1 (cuda) and 14 (meta), given ", type);
  LONGFORMER_CHECK_IMPLEMENTED(device != DeviceType::cuda || has_cuda(),
                               "device \"cuda\" is not available: the libtorch of this process, ",
                               version() / 100, ".", version() % 100,
                               ", has no CUDA or its libtorch_cuda is not loaded");
  return {device, device == DeviceType::cpu ? -1 : index};
}

IntList checked_sizes(const int64_t* sizes, int32_t rank) {
  LONGFORMER_CHECK_VALUE(rank >= 0 && (rank == 0 || sizes != nullptr), "sizes must be an array of ", rank);
  const IntList all(sizes, static_cast<size_t>(rank));
  __int128 elements = 1;
  for (int32_t i = 0; i < rank; ++i) {
    LONGFORMER_CHECK_VALUE(sizes[i] >= 0, "size ", i, " must be at least 0, given ", sizes[i]);
    elements *= std::max<int64_t>(sizes[i], 1);
    LONGFORMER_CHECK_VALUE(elements <= INT64_MAX, "sizes ", all,
                           " have more elements than 64 bits can count");
  }
  return all;
}

// libtorch computes the extent of a tensor in 64 bits. On overflow it throws an exception that must not reach
// this library.
void check_extent(IntList sizes, IntList strides, int64_t bytes) {
  __int128 last = 1;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] == 0) return;
    last += static_cast<__int128>(sizes[i] - 1) * strides[i];
    LONGFORMER_CHECK_VALUE(last * bytes <= INT64_MAX, "sizes ", sizes, " with strides ", strides,
                           " reach farther than 64 bits can count");
  }
}

}  // namespace

bool is_forked() {
  return forked.load(std::memory_order_relaxed);
}

void mark_used() {
  if (!used.load(std::memory_order_relaxed)) used = true;
}

}  // namespace longformer::torch

using namespace longformer;
using namespace longformer::torch;

int32_t longformer_ops_abi(void) {
  return LONGFORMER_OPS_ABI;
}

const char* longformer_ops_last_error(void) {
  return last_fixed != nullptr ? last_fixed : last_message.c_str();
}

longformer_status longformer_ops_initialize(void) {
  return guarded([] {
    initialize();
    static const bool once = (set_up_malloc(), true);
    static_cast<void>(once);
    mark_used();
  });
}

int32_t longformer_ops_torch_version(void) {
  return version();
}

longformer_status longformer_ops_find(const char* name, longformer_operator* op, int32_t* arguments,
                                      int32_t* results) {
  return guarded([&] {
    initialize();
    const auto found = operators().by_name.find(required(name, "name"));
    if (found == operators().by_name.end()) throw LoadError(text("there is no operator longformer::", name));
    const Operator& is = found->second;
    if (arguments != nullptr) *arguments = any_kernel(is).arguments;
    if (results != nullptr) *results = any_kernel(is).results;
    *required(op, "op") = reinterpret_cast<longformer_operator>(const_cast<Operator*>(&is));
  });
}

longformer_status longformer_ops_call(longformer_operator op, const longformer_value* arguments, int32_t n,
                                      longformer_value* results) {
  return guarded([&] {
    const Operator& is = *reinterpret_cast<const Operator*>(required(op, "op"));
    const Kernel& any = any_kernel(is);
    LONGFORMER_CHECK_VALUE(n == any.arguments, "longformer::", is.name, " takes ", any.arguments,
                           " arguments, given ", n);
    LONGFORMER_CHECK_VALUE(n == 0 || arguments != nullptr, "longformer::", is.name,
                           ": arguments must not be null");
    LONGFORMER_CHECK_VALUE(any.results == 0 || results != nullptr, "longformer::", is.name,
                           ": results must not be null");
    kernel_for(is, arguments, n).direct(arguments, results);
  });
}

longformer_status longformer_ops_from_memory(void* data, const int64_t* sizes, const int64_t* strides,
                                             int32_t rank, int32_t dtype, int32_t device_type,
                                             int32_t device_index, void (*release)(void* context),
                                             void* context, void** tensor) {
  bool taken = false;
  const longformer_status status = guarded([&] {
    initialize();
    required(tensor, "tensor");
    const IntList shape = checked_sizes(sizes, rank);
    int64_t elements = 1;
    for (const int64_t size : shape) elements = size == 0 ? 0 : elements;
    LONGFORMER_CHECK_VALUE(elements == 0 || data != nullptr, "data must not be null");
    for (size_t i = 0; strides != nullptr && i < shape.size(); ++i)
      LONGFORMER_CHECK_VALUE(strides[i] >= 0, "stride ", i, " must be at least 0, given ", strides[i]);
    const Device device = checked_device(device_type, device_index);
    const auto steps = strides != nullptr ? IntList(strides, shape.size()).vec() : row_major_strides(shape);
    check_extent(shape, steps, element_size(static_cast<ScalarType>(dtype)));
    if (elements == 0) {
      // libtorch does not keep the owner of memory without an address.
      *tensor = empty(shape, {static_cast<ScalarType>(dtype), device}).release();
      return;
    }
    taken = true;
    *tensor =
        from_memory(data, shape, steps, static_cast<ScalarType>(dtype), device, release, context).release();
  });
  if (!taken && release != nullptr) release(context);
  return status;
}

longformer_status longformer_ops_empty(const int64_t* sizes, int32_t rank, int32_t dtype, int32_t device_type,
                                       int32_t device_index, void** tensor) {
  return guarded([&] {
    initialize();
    required(tensor, "tensor");
    const Device device = checked_device(device_type, device_index);
    *tensor = empty(checked_sizes(sizes, rank), {static_cast<ScalarType>(dtype), device}).release();
  });
}

longformer_status longformer_ops_hold_memory(int32_t begins, int32_t one_pass) {
  return guarded([&] {
    const BlockCache::Hold by = one_pass != 0 ? BlockCache::Hold::pass : BlockCache::Hold::steps;
    if (begins != 0)
      block_cache().hold(by);
    else
      block_cache().let_go(by);
  });
}

longformer_status longformer_ops_release_memory(void) {
  return guarded([&] { block_cache().release(); });
}

longformer_status longformer_ops_trim_malloc(void) {
  return guarded([&] { trim_malloc(); });
}

const char* longformer_ops_torch_error(void) {
  static thread_local std::string words;
  try {
    words = take_error_words();
  } catch (...) {
    return "";
  }
  return words.c_str();
}

longformer_status longformer_ops_set_threads(int32_t threads) {
  return guarded([&] {
    initialize();
    set_threads(threads);
    apply_threads();
  });
}

int32_t longformer_ops_get_threads(void) {
  int32_t threads = 0;
  guarded([&] {
    initialize();
    apply_threads();
    threads = get_num_threads();
  });
  return threads;
}

void longformer_ops_apply_threads(void) {
  guarded([] { apply_threads(); });
}

int32_t longformer_ops_forked(void) {
  return is_forked() ? 1 : 0;
}
