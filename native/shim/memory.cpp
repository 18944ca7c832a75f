// The memory of tensors on the CPU.
//
// libtorch takes every tensor from malloc. glibc serves big blocks by mmap and gives them back by munmap at
// every release, so that the kernel hands out and zeroes the same pages again at every call: about a fifth of
// the time of a base-size linear layer over 4,096 tokens. malloc's own options cure that on the main thread
// only, since the heaps of other threads hold blocks of at most 64 MB; .NET computes on other threads. So
// blocks of 1 MiB and more come from a cache of mapped memory here, and go back to it. Smaller blocks are
// left to libtorch's own allocator.
//
// The cache keeps at most 1 GiB of unused blocks; the ones unused for longest go first. A cached block serves
// a request of at least 4/5 of its size. Where the system refuses memory, the whole cache is given back
// before the request fails.
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <iterator>
#include <list>
#include <map>
#include <mutex>
#include <unordered_map>

#include "internal.h"

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace lf_shim {
namespace {

constexpr size_t kSmallest = size_t{1} << 20;  // smaller blocks are libtorch's
constexpr size_t kGranule = size_t{64}
                            << 10;  // sizes are rounded up to this, so that nearly equal ones are equal
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kCacheLimit = size_t{1} << 30;  // bytes of unused blocks that are kept

class BlockCache final : public c10::Allocator {
 public:
  explicit BlockCache(c10::Allocator* small) : small_(small) {}

  // libtorch 1.13 declares allocate const, 2.x does not and adds copy_data: each takes what it declares.
  c10::DataPtr allocate(size_t bytes) const { return const_cast<BlockCache*>(this)->take(bytes); }
  c10::DataPtr allocate(size_t bytes) { return take(bytes); }
  void copy_data(void* to, const void* from, size_t bytes) const { std::memcpy(to, from, bytes); }
  c10::DeleterFnPtr raw_deleter() const override { return &give_back; }

  static BlockCache*& instance() {
    static BlockCache* cache = nullptr;
    return cache;
  }

 private:
  struct Block {
    void* memory;
    size_t size;
  };
  using Unused = std::list<Block>;  // the one unused for longest in front

  c10::Allocator* small_;
  std::mutex mutex_;
  std::unordered_map<void*, size_t> used_;
  Unused unused_;
  std::multimap<size_t, Unused::iterator> by_size_;
  size_t unused_bytes_ = 0;

  c10::DataPtr take(size_t bytes) {
    // A size that overflows the rounding can only fail: libtorch's own allocator says so in its own words.
    if (bytes < kSmallest || bytes > SIZE_MAX - kGranule) return small_->allocate(bytes);
    const size_t size = (bytes + kGranule - 1) / kGranule * kGranule;
    void* memory = reuse(size);
    if (!memory) memory = map(size);
    if (!memory) return small_->allocate(bytes);
    return {memory, memory, &give_back, c10::Device(c10::DeviceType::CPU)};
  }

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

  void* map(size_t size) {
    void* memory = map_aligned(size);
    if (!memory) {
      trim(0);
      memory = map_aligned(size);
      if (!memory) return nullptr;
    }
#if defined(MADV_HUGEPAGE)
    if (size >= kHugePage) madvise(memory, size, MADV_HUGEPAGE);
#endif
    try {
      std::lock_guard<std::mutex> lock(mutex_);
      used_.emplace(memory, size);
    } catch (...) {
      munmap(memory, size);
      throw;
    }
    return memory;
  }

  // Blocks in which a huge page fits begin at a multiple of one, so that as few small pages as possible are
  // left: the matrix products run through their weights with so many fewer misses of the page tables' cache.
  static void* map_aligned(size_t size) noexcept {
    const size_t extra = size >= kHugePage ? kHugePage : 0;
    void* start = mmap(nullptr, size + extra, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) return nullptr;
    if (extra == 0) return start;
    char* memory = static_cast<char*>(start);
    const size_t before = (kHugePage - reinterpret_cast<uintptr_t>(memory) % kHugePage) % kHugePage;
    if (before > 0) munmap(memory, before);
    if (extra > before) munmap(memory + before + size, extra - before);
    return memory + before;
  }

  // The deleter of every block. Blocks that are not ours came by raw_allocate from libtorch's own allocator.
  static void give_back(void* memory) {
    if (memory) instance()->put(memory);
  }

  void put(void* memory) noexcept {
    size_t size = 0;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      const auto found = used_.find(memory);
      if (found != used_.end()) {
        size = found->second;
        used_.erase(found);
      }
    }
    if (size == 0) {
      small_->raw_deleter()(memory);
      return;
    }
    if (!keep({memory, size})) munmap(memory, size);
    trim(kCacheLimit);
  }

  bool keep(Block block) noexcept {
    std::lock_guard<std::mutex> lock(mutex_);
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
      munmap(oldest.memory, oldest.size);
    }
  }
};

}  // namespace

void set_up_memory() {
  BlockCache::instance() =
      new BlockCache(c10::GetCPUAllocator());  // never freed: tensors may outlive every owner
  c10::SetCPUAllocator(BlockCache::instance());
#if defined(__GLIBC__)
  // The scratch memory of oneDNN does come from malloc. Up to 1 GiB a block stays in the heap, of which 2 GiB
  // may be unused.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 2047 << 20);
#endif
}

}  // namespace lf_shim
