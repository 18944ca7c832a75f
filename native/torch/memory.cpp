#include "memory.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <unordered_map>

#include "internal.h"

#if defined(_WIN32)
#include <windows.h>
#else
#include <sys/mman.h>
#endif
#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace longformer::torch {
namespace {

// libtorch takes every tensor from malloc. glibc serves big blocks by mmap and gives them back by munmap at every release, so that the
// kernel hands out and zeroes the same pages again at every call: about a fifth of the time of a base-size linear layer over 4,096
// tokens. malloc's own options cure that on the main thread only, since the heaps of other threads hold blocks of at most 64 MB; .NET
// computes on other threads. So blocks of 1 MiB and more come from a cache of mapped memory here, and go back to it.
//
// The cache keeps at most 1 GiB of unused blocks; the ones unused for longest go first. A cached block serves a request of at least
// 4/5 of its size. Where the system refuses memory, the whole cache is given back before the request fails.
constexpr size_t kSmallest = size_t{1} << 20;
constexpr size_t kGranule = size_t{64} << 10;  // sizes are rounded up to this, so that nearly equal ones are equal
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kCacheLimit = size_t{1} << 30;

#if defined(_WIN32)
void* map(size_t size) noexcept {
  return VirtualAlloc(nullptr, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
}
void unmap(void* memory, size_t) noexcept {
  VirtualFree(memory, 0, MEM_RELEASE);
}
#else
// Blocks in which a huge page fits begin at a multiple of one, so that as few small pages as possible are left: the matrix products
// run through their weights with so many fewer misses of the page tables' cache.
void* map(size_t size) noexcept {
  const size_t extra = size >= kHugePage ? kHugePage : 0;
  void* start = mmap(nullptr, size + extra, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) return nullptr;
  if (extra == 0) return start;
  char* memory = static_cast<char*>(start);
  const size_t before = (kHugePage - reinterpret_cast<uintptr_t>(memory) % kHugePage) % kHugePage;
  if (before > 0) munmap(memory, before);
  if (extra > before) munmap(memory + before + size, extra - before);
#if defined(MADV_HUGEPAGE)
  madvise(memory + before, size, MADV_HUGEPAGE);
#endif
  return memory + before;
}
void unmap(void* memory, size_t size) noexcept {
  munmap(memory, size);
}
#endif

class BlockCache {
 public:
  // Null where the system has no memory left.
  void* take(size_t bytes) {
    const size_t size = (bytes + kGranule - 1) / kGranule * kGranule;
    void* memory = reuse(size);
    if (memory != nullptr) return memory;
    memory = map(size);
    if (memory == nullptr) {
      trim(0);
      memory = map(size);
      if (memory == nullptr) return nullptr;
    }
    try {
      std::lock_guard<std::mutex> lock(mutex_);
      used_.emplace(memory, size);
    } catch (...) {
      unmap(memory, size);
      throw;
    }
    return memory;
  }

  void put(void* memory) noexcept {
    // A thread of the parent may have held the lock when the process forked.
    if (is_forked()) return;
    size_t size = 0;
    bool kept = false;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      const auto found = used_.find(memory);
      if (found == used_.end()) return;
      size = found->second;
      used_.erase(found);
      kept = keep({memory, size});
    }
    if (!kept) unmap(memory, size);
    trim(kCacheLimit);
  }

 private:
  struct Block {
    void* memory;
    size_t size;
  };
  using Unused = std::list<Block>;  // the one unused for longest in front

  std::mutex mutex_;
  std::unordered_map<void*, size_t> used_;
  Unused unused_;
  std::multimap<size_t, Unused::iterator> by_size_;
  size_t unused_bytes_ = 0;

  void* reuse(size_t size) {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto found = by_size_.lower_bound(size);
    if (found == by_size_.end() || found->first > size + size / 4) return nullptr;
    const Block block = *found->second;
    used_.emplace(block.memory, block.size);  // first, since it may throw
    unused_.erase(found->second);
    by_size_.erase(found);
    unused_bytes_ -= block.size;
    return block.memory;
  }

  bool keep(Block block) noexcept {
    bool listed = false;
    try {
      unused_.push_back(block);
      listed = true;
      by_size_.emplace(block.size, std::prev(unused_.end()));
    } catch (...) {
      if (listed) unused_.pop_back();
      return false;
    }
    unused_bytes_ += block.size;
    return true;
  }

  // Gives unused blocks back to the system until at most so many bytes are left.
  void trim(size_t limit) noexcept {
    std::lock_guard<std::mutex> lock(mutex_);
    while (unused_bytes_ > limit) {
      const Block oldest = unused_.front();
      auto [first, last] = by_size_.equal_range(oldest.size);
      while (first != last && first->second != unused_.begin()) ++first;
      if (first != last) by_size_.erase(first);
      unused_.pop_front();
      unused_bytes_ -= oldest.size;
      unmap(oldest.memory, oldest.size);
    }
  }
};

// Never freed: tensors may outlive every owner.
BlockCache& cache() {
  static BlockCache* const blocks = new BlockCache();
  return *blocks;
}

// From libtorch 2.11 on; also the header's newest form.
using FromBlob = Error (*)(void* data, int64_t rank, const int64_t* sizes, const int64_t* strides, int64_t offset, int32_t dtype,
                           int32_t device, int32_t index, TensorHandle*, int32_t layout, const uint8_t* metadata, int64_t metadata_size,
                           void (*deleter)(void* data, void* context), void* context);

struct Release {
  void (*function)(void*);
  void* context;
};

#if !defined(_WIN32)
// DLPack's structs, whose layout is fixed.
struct DlTensor {
  void* data;
  int32_t device_type, device_id;  // 1: CPU, 2: CUDA
  int32_t rank;
  uint8_t code, bits;  // code: 0 signed, 1 unsigned, 2 floating, 4 bfloat16, 6 bool
  uint16_t lanes;
  int64_t *sizes, *strides;
  uint64_t byte_offset;
};
struct DlManagedTensor {
  DlTensor tensor;
  void* context;
  void (*deleter)(DlManagedTensor*);
};

// A tensor that libtorch 2.10's at::fromDLPack returns: one pointer, in memory whose address the compiler passes along, since it has a
// destructor. Made in place by new, its address is a handle, which libtorch deletes.
struct Returned {
  void* pointer;
  Returned(const Returned&) = delete;
  ~Returned() {}
};
using FromDlpack = Returned (*)(DlManagedTensor*, std::function<void(void*)> empty);

// What lives as long as the tensor.
struct Managed {
  DlManagedTensor tensor;
  std::vector<int64_t> sizes, strides;
  Release release;
};

uint8_t dlpack_code(ScalarType type) {
  if (type == kBFloat16) return 4;
  if (type == kBool) return 6;
  if (type == kByte) return 1;
  return is_floating(type) ? 2 : 0;
}

Tensor by_dlpack(FromDlpack from, void* data, IntList sizes, IntList strides, ScalarType type, Device device, Release release) {
  auto managed = std::make_unique<Managed>();
  managed->sizes = sizes.vec();
  managed->strides = strides.vec();
  managed->release = release;
  managed->tensor.tensor = {data, device.type == DeviceType::cpu ? 1 : 2, std::max(device.index, 0), static_cast<int32_t>(sizes.size()),
                            dlpack_code(type), static_cast<uint8_t>(8 * element_size(type)), 1, managed->sizes.data(),
                            managed->strides.data(), 0};
  managed->tensor.context = managed.get();
  managed->tensor.deleter = [](DlManagedTensor* self) {
    const std::unique_ptr<Managed> all(static_cast<Managed*>(self->context));
    all->release.function(all->release.context);
  };
  auto* handle = new Returned(from(&managed->tensor, {}));
  managed.release();
  return Tensor::own(reinterpret_cast<TensorHandle>(handle));
}
#endif

// Undefined where libtorch has neither function.
Tensor owned_memory(void* data, IntList sizes, IntList strides, ScalarType type, Device device, Release release) {
  static const auto from_blob = reinterpret_cast<FromBlob>(find_function("torch_from_blob"));
  if (from_blob != nullptr) {
    auto context = std::make_unique<Release>(release);
    TensorHandle handle = nullptr;
    LONGFORMER_TORCH(from_blob(
        data, static_cast<int64_t>(sizes.size()), sizes.data(), strides.data(), 0, static_cast<int32_t>(type),
        static_cast<int32_t>(device.type), std::max(device.index, 0), &handle, aoti_torch_layout_strided(), nullptr, 0,
        [](void*, void* c) {
          const std::unique_ptr<Release> r(static_cast<Release*>(c));
          r->function(r->context);
        },
        context.get()));
    context.release();
    return Tensor::own(handle);
  }
#if !defined(_WIN32)
  static const auto from_dlpack =
      reinterpret_cast<FromDlpack>(find_function("_ZN2at10fromDLPackEP15DLManagedTensorSt8functionIFvPvEE"));
  if (from_dlpack != nullptr) return by_dlpack(from_dlpack, data, sizes, strides, type, device, release);
#endif
  return {};
}

}  // namespace

Tensor empty_from_cache(IntList sizes, ScalarType type) {
  size_t bytes = static_cast<size_t>(element_size(type));
  for (const int64_t size : sizes)
    if (size < 0 || __builtin_mul_overflow(bytes, static_cast<size_t>(size), &bytes)) return {};  // libtorch says what is wrong
  if (bytes < kSmallest || bytes > SIZE_MAX - kGranule) return {};
  static std::atomic<bool> possible{true};
  if (!possible.load(std::memory_order_relaxed)) return {};
  void* memory = cache().take(bytes);
  if (memory == nullptr) return {};
  const Release release{[](void* block) { cache().put(block); }, memory};
  try {
    Tensor t = owned_memory(memory, sizes, row_major_strides(sizes), type, {}, release);
    if (t.defined()) return t;
    possible = false;
  } catch (...) {
    cache().put(memory);
    throw;
  }
  cache().put(memory);
  return {};
}

Tensor from_memory(void* data, IntList sizes, IntList strides, ScalarType type, Device device, void (*release)(void* context),
                   void* context) {
  try {
    if (release != nullptr) {
      Tensor t = owned_memory(data, sizes, strides, type, device, {release, context});
      LONGFORMER_CHECK_IMPLEMENTED(t.defined(), "libtorch ", version() / 100, ".", version() % 100,
                                   " cannot give memory back to its owner here; 2.11 or later can");
      return t;
    }
    TensorHandle handle = nullptr;
    LONGFORMER_TORCH(aoti_torch_create_tensor_from_blob(data, static_cast<int64_t>(sizes.size()), sizes.data(), strides.data(), 0,
                                                        static_cast<int32_t>(type), static_cast<int32_t>(device.type),
                                                        std::max(device.index, 0), &handle));
    return Tensor::own(handle);
  } catch (...) {
    if (release != nullptr) release(context);
    throw;
  }
}

void set_up_malloc() {
#if defined(__GLIBC__)
  // The scratch memory of oneDNN does come from malloc. Up to 1 GiB a block stays in the heap, of which 2 GiB may be unused.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 2047 << 20);
#endif
}

}  // namespace longformer::torch
