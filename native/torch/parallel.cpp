#include "../base/parallel.h"

#include <atomic>
#include <exception>

#include "../base/error.h"
#include "internal.h"

#if defined(_WIN32)
#include <windows.h>
#endif

namespace longformer {
namespace torch {
namespace {

// Finds a function of the OpenMP that libtorch uses. Null where libtorch uses another library.
void* openmp_function(const char* name) {
#if defined(_WIN32)
  for (const char* library : {"libiomp5md.dll", "vcomp140.dll"}) {
    const HMODULE module = GetModuleHandleA(library);
    if (module == nullptr) continue;
    if (void* found = reinterpret_cast<void*>(GetProcAddress(module, name))) return found;
  }
  return nullptr;
#else
  return find_function(name);  // also finds functions of the libraries that libtorch is linked to
#endif
}

template <class Function>
Function openmp(const char* name) {
  return reinterpret_cast<Function>(openmp_function(name));
}

std::atomic<int> wanted_threads{0};
thread_local int applied_threads = 0, libtorch_threads = 0;
thread_local bool inside = false;

struct Call {
  void (*work)(int64_t, int64_t, const void*);
  const void* context;
  std::atomic<bool> failed{false};
  std::exception_ptr failure;  // of the part that failed first
};

void run_part(int64_t begin, int64_t end, void* context) {
  Call& call = *static_cast<Call*>(context);
  const bool was_inside = inside;
  inside = true;
  try {
    call.work(begin, end, call.context);
  } catch (...) {
    if (!call.failed.exchange(true)) call.failure = std::current_exception();
  }
  inside = was_inside;
}

}  // namespace

void set_threads(int threads) {
  LONGFORMER_CHECK_VALUE(threads >= 0, "threads must be at least 1, or 0 for libtorch's own number, given ",
                         threads);
  wanted_threads = threads;
}

// OpenMP keeps a number for each thread, so each thread sets it when it works next.
void apply_threads() {
  const int wanted = wanted_threads.load(std::memory_order_relaxed);
  if (wanted == applied_threads) return;
  static const auto set = openmp<void (*)(int)>("omp_set_num_threads");
  if (set == nullptr) return;
  // libtorch sets its own number at its first work on a thread. Asking now makes it do so before ours is set.
  if (applied_threads == 0) libtorch_threads = get_num_threads();
  set(wanted == 0 ? libtorch_threads : wanted);
  applied_threads = wanted;
}

void run_parallel(int64_t begin, int64_t end, int64_t grain, void (*work)(int64_t, int64_t, const void*),
                  const void* context) {
  if (begin >= end) return;
  Call call;
  call.work = work;
  call.context = context;
  LONGFORMER_TORCH(torch_parallel_for(begin, end, grain, &run_part, &call));
  if (call.failure) std::rethrow_exception(call.failure);
}

}  // namespace torch

int get_num_threads() {
  uint32_t threads = 1;
  LONGFORMER_TORCH(torch::torch_get_num_threads(&threads));
  return threads > 0 ? static_cast<int>(threads) : 1;
}

bool in_parallel_region() {
  static const auto openmp_is = torch::openmp<int (*)()>("omp_in_parallel");
  return torch::inside || (openmp_is != nullptr && openmp_is() != 0);
}

}  // namespace longformer
