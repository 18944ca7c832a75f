// Memory of big tensors on the CPU.
#pragma once
#include <cstddef>
#include <list>
#include <map>
#include <mutex>
#include <unordered_map>

namespace longformer {

// libtorch takes every tensor from malloc. glibc serves big blocks by mmap and gives them back by munmap at
// every release, so that the kernel hands out and zeroes the same pages again at every call: about a fifth of
// the time of a base-size linear layer over 4,096 tokens. malloc's own options cure that on the main thread
// only, since the heaps of other threads hold blocks of at most 64 MB; .NET computes on other threads. So the
// blocks of big tensors come from a cache of mapped memory, and go back to it.
//
// The cache keeps at most 1 GiB of unused blocks; the ones unused for longest go first. A cached block serves
// a request of at least 4/5 of its size. Where the system refuses memory, the whole cache is given back
// before the request fails.
class BlockCache {
 public:
  // At least so many bytes, at a multiple of a page; null where the system has no memory left.
  void* take(size_t bytes);
  void put(void* memory) noexcept;

 private:
  struct Block {
    void* memory;
    size_t size;
  };
  using Unused = std::list<Block>;  // the one unused for longest in front

  void* reuse(size_t size);
  bool keep(Block block) noexcept;
  void trim(size_t limit) noexcept;

  std::mutex mutex_;
  std::unordered_map<void*, size_t> used_;
  Unused unused_;
  std::multimap<size_t, Unused::iterator> by_size_;
  size_t unused_bytes_ = 0;
};

// The one of this process, never freed: tensors may outlive every owner.
BlockCache& block_cache();

// Sets malloc so that libtorch's and oneDNN's own big blocks are kept for the next call. Once, at the start.
void set_up_malloc();

}  // namespace longformer
