// Runs kernel text on the CPU, a block at a time, and checks what a GPU would not say: accesses outside the
// given buffers, misaligned vectors, shared memory read before it was written or without a barrier between
// (also behind cp.async that was not waited for), threads that meet at different collective operations or not
// at all.
//
// Every thread is a fiber with its own stack; it runs until it comes to a barrier or to an operation of
// its warp, whose work the last lane to arrive does for all. The seed decides which warp is first.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>

namespace emulation {

struct Launch {
  int grid_x = 1, grid_y = 1, threads = 32;
  size_t shared = 0;
  uint64_t seed = 1;
};

// The memory that kernels may touch from now on.
void allow(const void* begin, size_t bytes, const char* name, bool writable = false);
void allow_nothing();

// Throws std::runtime_error with the block, the thread and what it did wrong.
void run(const Launch& launch, const std::function<void()>& kernel);

// --- What emulated_device.h is made of: called by the running thread.
int thread_index();
int block_x();
int block_y();
void block_barrier();
// arguments: of all 32 lanes, in their order; work runs once.
void together(const char* operation, void* arguments, void (*work)(void** arguments));

void check_global(const void* address, size_t bytes, bool write);
char* shared_read(uint32_t address, size_t bytes,
                  int lane = -1);  // lane: of the running warp; -1: the running thread
char* shared_write(uint32_t address, size_t bytes);
void copy_later(uint32_t to, const void* from, size_t bytes, bool valid);
void copy_commit();
void copy_wait(int groups);

}  // namespace emulation
