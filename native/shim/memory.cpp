// malloc's options.
//
// libtorch takes tensors from malloc. glibc serves a block above its mmap threshold (at most 32 MB when it adapts by itself)
// by mmap and gives it back by munmap at every release, so that the kernel zeroes the same pages again at every call: about a
// fifth of the time of a base-size linear layer over 4,096 tokens. With the options below big blocks come from the heap and
// stay in it:
//   M_MMAP_THRESHOLD  1 GiB: smaller blocks come from the heap
//   M_TRIM_THRESHOLD  2 GiB: that much free memory at the heap's top is kept for the next call
//   M_ARENA_MAX       1: other arenas than the main one cannot hold blocks over 64 MB, so that threads would mmap them still;
//                        small blocks are served by each thread's own cache all the same
// The price is resident memory: the process keeps its peak, up to 2 GiB of it, after the tensors are gone.
#include "internal.h"

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace lf_shim {

void set_malloc_options() {
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 2047 << 20);
  mallopt(M_ARENA_MAX, 1);
#endif
}

}  // namespace lf_shim
