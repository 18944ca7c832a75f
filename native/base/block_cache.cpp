#include "block_cache.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "../torch/internal.h"

#if defined(_WIN32)
#include <windows.h>
#else
#include <sys/mman.h>
#endif
#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace longformer {
namespace {

constexpr size_t kGranule = size_t{64}
                            << 10;  // sizes are rounded up to this, so that nearly equal ones are equal
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kCacheLimit = size_t{1} << 30;

#if defined(_WIN32)
// Memory is given back as it was mapped.
constexpr bool kDivides = false;
void* map(size_t size) noexcept {
  return VirtualAlloc(nullptr, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
}
void unmap(void* memory, size_t) noexcept {
  VirtualFree(memory, 0, MEM_RELEASE);
}
#else
constexpr bool kDivides = true;
// Aligns blocks that a huge page fits into to huge pages, which leaves few small pages. Matrix products then
// read their weights with fewer misses of the page tables' cache.
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

}  // namespace

void* BlockCache::take(size_t bytes) {
  const size_t size = (bytes + kGranule - 1) / kGranule * kGranule;
  void* memory = reuse(size);
  if (memory != nullptr) return memory;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    // The new block comes in the place of unused ones, not beside them.
    if (is_held()) trim_locked(limit() > size ? limit() - size : 0);
  }
  memory = map(size);
  if (memory == nullptr) {
    trim(0);
    memory = map(size);
    if (memory == nullptr) return nullptr;
  }
  try {
    std::lock_guard<std::mutex> lock(mutex_);
    used_.emplace(memory, size);
    used_bytes_ += size;
    most_used_bytes_ = std::max(most_used_bytes_, used_bytes_);
  } catch (...) {
    unmap(memory, size);
    throw;
  }
  return memory;
}

void BlockCache::put(void* memory) noexcept {
  // A thread of the parent may have held the lock when the process forked.
  if (torch::is_forked()) return;
  std::lock_guard<std::mutex> lock(mutex_);
  const auto found = used_.find(memory);
  if (found == used_.end()) return;
  const size_t size = found->second;
  used_.erase(found);
  used_bytes_ -= size;
  keep(static_cast<char*>(memory), size);
  trim_locked(limit());
}

void BlockCache::hold(Hold by) noexcept {
  std::lock_guard<std::mutex> lock(mutex_);
  if (!is_held()) most_used_bytes_ = used_bytes_;
  ++holds(by);
}

void BlockCache::let_go(Hold by) noexcept {
  std::lock_guard<std::mutex> lock(mutex_);
  --holds(by);
  trim_locked(limit());
}

size_t BlockCache::unused_bytes() noexcept {
  std::lock_guard<std::mutex> lock(mutex_);
  return unused_bytes_;
}

size_t BlockCache::most_used_bytes() noexcept {
  std::lock_guard<std::mutex> lock(mutex_);
  return most_used_bytes_;
}

size_t BlockCache::limit() const noexcept {
  if (!is_held()) return kCacheLimit;
  const size_t to_the_peak = most_used_bytes_ - used_bytes_;
  return held_by_steps_ > 0 ? to_the_peak : std::max(to_the_peak, kCacheLimit);
}

void* BlockCache::reuse(size_t size) {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto found = by_size_.lower_bound({size, nullptr});
  if (found == by_size_.end() || (!kDivides && found->first > size + size / 4)) return nullptr;
  // The end of the block: the rest stays where it is in the lists.
  const size_t taken = kDivides ? size : found->first;
  char* const memory = found->second + found->first - taken;
  used_.emplace(memory, taken);  // first, since it may throw
  used_bytes_ += taken;
  most_used_bytes_ = std::max(most_used_bytes_, used_bytes_);
  shorten(unused_.find(found->second), taken);
  return memory;
}

// Takes bytes from the end of an unused block; allocates nothing.
void BlockCache::shorten(ByAddress::iterator block, size_t bytes) noexcept {
  if (bytes == block->second.size) return forget(block);
  auto node = by_size_.extract({block->second.size, block->first});
  node.value().first = block->second.size -= bytes;
  by_size_.insert(std::move(node));
  unused_bytes_ -= bytes;
}

void BlockCache::forget(ByAddress::iterator block) noexcept {
  by_size_.erase({block->second.size, block->first});
  by_age_.erase({block->second.since, block->first});
  unused_bytes_ -= block->second.size;
  unused_.erase(block);
}

void BlockCache::keep(char* memory, size_t size) noexcept {
  const uint64_t since = puts_++;
  auto next = unused_.lower_bound(memory);
  if (kDivides && next != unused_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second.size == memory) {
      memory = before->first;
      size += before->second.size;
      forget(before);
    }
  }
  if (kDivides && next != unused_.end() && memory + size == next->first) {
    size += next->second.size;
    forget(next);
  }
  try {
    unused_.emplace(memory, Unused{size, since});
    by_size_.emplace(size, memory);
    by_age_.emplace(since, memory);
  } catch (...) {
    by_size_.erase({size, memory});
    unused_.erase(memory);
    return unmap(memory, size);
  }
  unused_bytes_ += size;
}

// Gives unused bytes back to the system until at most so many are left.
void BlockCache::trim(size_t limit) noexcept {
  std::lock_guard<std::mutex> lock(mutex_);
  trim_locked(limit);
}

void BlockCache::trim_locked(size_t limit) noexcept {
  while (unused_bytes_ > limit) {
    const auto oldest = unused_.find(by_age_.begin()->second);
    const size_t too_many = (unused_bytes_ - limit + kHugePage - 1) / kHugePage * kHugePage,
                 bytes = kDivides ? std::min(oldest->second.size, too_many) : oldest->second.size;
    char* const end = oldest->first + oldest->second.size;
    shorten(oldest, bytes);
    unmap(end - bytes, bytes);
  }
}

BlockCache& block_cache() {
  static BlockCache* const blocks = new BlockCache();
  return *blocks;
}

void set_up_malloc() {
#if defined(__GLIBC__)
  // oneDNN allocates its scratch memory by malloc. Blocks of up to 1 GiB stay in the heap, of which 2 GiB may
  // be unused.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 2047 << 20);
#endif
}

void trim_malloc() noexcept {
#if defined(__GLIBC__)
  constexpr size_t kSmall = size_t{512} << 20;
  if (block_cache().most_used_bytes() > kSmall) malloc_trim(0);
#endif
}

}  // namespace longformer
