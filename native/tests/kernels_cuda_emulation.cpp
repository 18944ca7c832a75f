// The emulation itself: that it says what is wrong with a kernel, and nothing about a right one.
#define LONGFORMER_EMULATION
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "../ops/cuda/kernels/device.cuh"

using namespace longformer::cuda;

namespace {

// Returns the fault of a kernel of two warps and 1 KiB of shared memory.
std::string complaint(const std::function<void()>& kernel) {
  try {
    emulation::run({1, 1, 64, 1024, 7}, kernel);
    return "";
  } catch (const std::runtime_error& e) {
    return e.what();
  }
}

#define EXPECT_COMPLAINT(text, ...)                                            \
  {                                                                            \
    const std::string said = complaint(__VA_ARGS__);                           \
    EXPECT_NE(said.find(text), std::string::npos) << "said: '" << said << "'"; \
  }

TEST(CudaEmulation, accepts_what_is_right) {
  float sum = 0;
  emulation::allow(&sum, sizeof sum, "sum", true);
  EXPECT_EQ(complaint([&] {
              shared_store(4 * thread_index(), bits_of(1.0f));
              block_barrier();
              float x = shared_load(4 * (63 - thread_index()));
              for (int step = 16; step > 0; step /= 2) x += shuffle_xor(x, step);
              if (thread_index() == 0) store(&sum, x);
            }),
            "");
  EXPECT_EQ(sum, 32);
  emulation::allow_nothing();
}

TEST(CudaEmulation, finds_missing_barriers) {
  // Of another warp, and of another lane; the second one is reported.
  for (const int other : {63, 1})
    EXPECT_COMPLAINT("barrier", [=] {
      shared_store(4 * thread_index(), 1);
      block_barrier();
      shared_store(4 * thread_index(), 2);
      shared_load(4 * (thread_index() ^ other));
    });
  EXPECT_COMPLAINT("another warp read", [] {
    if (thread_index() == 0) shared_store(0, 1);
    block_barrier();
    shared_load(0);
    if (thread_index() == 0) shared_store(0, 2);
  });
  EXPECT_COMPLAINT("nobody wrote", [] { shared_load(4 * thread_index()); });
}

TEST(CudaEmulation, finds_copies_that_are_not_waited_for) {
  alignas(16) static float from[4] = {1, 2, 3, 4};
  emulation::allow(from, sizeof from, "from");
  const auto copy = [] {
    if (thread_index() == 0) copy_vector(0, from, true);
    copy_commit();
  };
  EXPECT_EQ(complaint([&] {
              copy();
              copy_wait<0>();
              block_barrier();
              shared_load(4);
            }),
            "");
  EXPECT_COMPLAINT("a copy is on its way", [&] {
    copy();
    block_barrier();
    shared_load(4);
  });
  EXPECT_COMPLAINT("not waited for", copy);
  emulation::allow_nothing();
}

TEST(CudaEmulation, finds_accesses_outside_and_askew) {
  static float inside[8];
  emulation::allow(inside, sizeof inside, "inside");
  EXPECT_COMPLAINT("ends before it", [] { load(inside + 8); });
  EXPECT_COMPLAINT("writes inside", [] { store(inside, 1.0f); });
  EXPECT_COMPLAINT("misaligned", [] { load_vector(reinterpret_cast<char*>(inside) + 4); });
  EXPECT_COMPLAINT("misaligned", [] { shared_store(2, 1); });
  EXPECT_COMPLAINT("it has 1024", [] { shared_store(1024, 1); });
  emulation::allow_nothing();
}

TEST(CudaEmulation, finds_threads_that_do_not_meet) {
  EXPECT_COMPLAINT("wait for each other", [] {
    if (thread_index() < 40) block_barrier();
  });
  EXPECT_COMPLAINT("where other lanes are in", [] {
    if (thread_index() % 2)
      warp_barrier();
    else
      ballot(true);
  });
}

}  // namespace
