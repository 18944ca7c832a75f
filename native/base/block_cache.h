// Memory of big tensors on the CPU.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>
#include <utility>

namespace longformer {

// A cache of mapped memory for big tensors. libtorch allocates every tensor by malloc. glibc maps big blocks
// and unmaps them at each release, so the kernel zeroes the same pages again at each call: about a fifth of
// the time of a base-size linear layer over 4,096 tokens. malloc's options help on the main thread only,
// since the heaps of other threads hold blocks of at most 64 MB, and .NET computes on other threads.
//
// The cache keeps at most 1 GiB of unused bytes and gives back first what was unused longest. A request
// takes its part of the smallest unused block that has room for it, and blocks that become unused join their
// neighbours, so that requests of other sizes find room as well. (Windows takes memory back only as it was
// mapped: there a block is taken whole, for a request of at least 4/5 of its size.) When the system refuses
// memory, the cache is emptied before the request fails.
//
// While somebody holds it, as a training does, whose steps are all alike, unused bytes are kept up to the
// most that were in use at one time: a step finds the memory of the step before, and used and unused bytes
// together are never more than the used ones were at their peak. While a single pass holds it, whose layers
// are alike, either limit is kept, the wider one.
class BlockCache {
 public:
  // Returns at least so many bytes, aligned to a page; null where the system has no memory left.
  void* take(size_t bytes);
  void put(void* memory) noexcept;
  enum class Hold { steps, pass };
  // Begins and ends a hold; holds nest. With the last one the cache shrinks to its limit.
  void hold(Hold by = Hold::steps) noexcept;
  void let_go(Hold by = Hold::steps) noexcept;

  // Gives all unused memory back to the system.
  void release() noexcept { trim(0); }
  size_t unused_bytes() noexcept;
  // The most bytes that were in use at one time since the first hold began.
  size_t most_used_bytes() noexcept;

 private:
  struct Unused {
    size_t size;
    uint64_t since;  // when it was put, by the number of puts
  };
  using ByAddress = std::map<char*, Unused>;

  void* reuse(size_t size);
  void keep(char* memory, size_t size) noexcept;
  void forget(ByAddress::iterator block) noexcept;
  void shorten(ByAddress::iterator block, size_t bytes) noexcept;
  void trim(size_t limit) noexcept;
  void trim_locked(size_t limit) noexcept;
  int& holds(Hold by) noexcept { return by == Hold::steps ? held_by_steps_ : held_by_passes_; }
  bool is_held() const noexcept { return held_by_steps_ + held_by_passes_ > 0; }
  // How many unused bytes may stay beside the used ones.
  size_t limit() const noexcept;

  std::mutex mutex_;
  std::unordered_map<void*, size_t> used_;
  ByAddress unused_;
  std::set<std::pair<size_t, char*>> by_size_;
  std::set<std::pair<uint64_t, char*>> by_age_;  // the one unused for longest first
  uint64_t puts_ = 0;
  size_t unused_bytes_ = 0, used_bytes_ = 0;
  size_t most_used_bytes_ = 0;  // since the first hold began
  int held_by_steps_ = 0, held_by_passes_ = 0;
};

// The cache of this process. Never freed, since tensors may outlive any owner.
BlockCache& block_cache();

// Makes malloc keep the big blocks of libtorch and oneDNN for the next call. Called once, at the start.
void set_up_malloc();
// Gives the pages that malloc holds unused back to the system: holes between blocks that are in use. Does
// nothing where the cache's blocks were small in this hold: the holes are small then, and taking their pages
// anew took a third of a small model's training step.
void trim_malloc() noexcept;

}  // namespace longformer
