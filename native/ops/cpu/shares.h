// Work that reads memory in order. Threads that take turns at it would read every other piece each, and what
// one asks for ahead would be for the other.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include "driver.h"

namespace longformer::cpu {

// Runs work(index) for every index. Each thread takes a share of neighbouring ones in order, and then
// helps with the shares of those that were held up.
template <class Work>
void for_each_in_shares(int64_t count, const Work& work) {
  if (count <= 0) return;
  struct alignas(64) Share {
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };
  const int64_t threads = std::min<int64_t>(get_num_threads(), count);
  std::vector<Share> shares(static_cast<size_t>(threads));
  for (int64_t t = 0; t < threads; ++t) {
    shares[static_cast<size_t>(t)].next = count * t / threads;
    shares[static_cast<size_t>(t)].end = count * (t + 1) / threads;
  }
  parallel_for(0, threads, 1, [&](int64_t begin, int64_t) {
    for (int64_t t = 0; t < threads; ++t) {
      Share& share = shares[static_cast<size_t>((begin + t) % threads)];
      for (int64_t i = share.next++; i < share.end; i = share.next++) work(i);
    }
    trim_thread_scratch();
  });
}

}  // namespace longformer::cpu
