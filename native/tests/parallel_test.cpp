// Work on libtorch's threads (native/torch/parallel.h).
#include "../base/parallel.h"

#include <atomic>
#include <new>
#include <thread>

#include "support.h"

namespace longformer::test {
namespace {

TEST(Parallel, covers_the_range_once) {
  for (const int64_t begin : {0, 5})
    for (const int64_t count : {0, 1, 2, 7, 100, 10001})
      for (const int64_t grain : {1, 3, 64, 100000}) {
        std::vector<std::atomic<int>> done(static_cast<size_t>(begin + count));
        parallel_for(begin, begin + count, grain, [&](int64_t first, int64_t last) {
          for (int64_t i = first; i < last; ++i) ++done[static_cast<size_t>(i)];
        });
        for (int64_t i = 0; i < begin + count; ++i)
          ASSERT_EQ(done[static_cast<size_t>(i)], i >= begin ? 1 : 0)
              << i << " of " << count << " by " << grain;
      }
}

TEST(Parallel, knows_whether_it_is_inside) {
  EXPECT_FALSE(in_parallel_region());
  std::atomic<int> outside{0};
  parallel_for(0, 64, 1, [&](int64_t, int64_t) { outside += !in_parallel_region(); });
  EXPECT_EQ(outside, 0);
  EXPECT_FALSE(in_parallel_region());
  // Work inside work is done by the thread that asks for it.
  std::atomic<int64_t> sum{0};
  parallel_for(0, 16, 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i)
      parallel_for(0, 100, 1, [&](int64_t from, int64_t to) { sum += to - from; });
  });
  EXPECT_EQ(sum, 1600);
}

TEST(Parallel, throws_here_what_the_work_throws_there) {
  for (int round = 0; round < 20; ++round) {
    // All parts, one of them, the last of them.
    EXPECT_THROW(parallel_for(0, 100, 1, [](int64_t, int64_t) { throw ValueError("all"); }), ValueError);
    EXPECT_THROW(parallel_for(0, 100, 1,
                              [](int64_t first, int64_t last) {
                                if (first <= 57 && 57 < last) throw std::bad_alloc();
                              }),
                 std::bad_alloc);
    try {
      parallel_for(0, 100, 1, [](int64_t, int64_t last) {
        if (last == 100) throw IndexError("the last part");
      });
      FAIL() << "nothing was thrown";
    } catch (const IndexError& e) {
      EXPECT_STREQ(e.what(), "the last part");
    }
    // Something that is no std::exception either.
    EXPECT_THROW(parallel_for(0, 100, 1, [](int64_t, int64_t) { throw 42; }), int);
    EXPECT_FALSE(in_parallel_region());
    std::atomic<int64_t> sum{0};
    parallel_for(0, 100, 1, [&](int64_t first, int64_t last) { sum += last - first; });
    EXPECT_EQ(sum, 100) << "after an exception";
  }
}

TEST(Parallel, throws_out_of_work_inside_work) {
  EXPECT_THROW(parallel_for(0, 4, 1,
                            [](int64_t, int64_t) {
                              parallel_for(0, 4, 1, [](int64_t, int64_t) { throw ValueError("inside"); });
                            }),
               ValueError);
  EXPECT_FALSE(in_parallel_region());
}

TEST(Parallel, serves_many_threads_at_once) {
  std::vector<std::thread> callers;
  std::atomic<int64_t> sum{0};
  std::atomic<int> caught{0};
  for (int c = 0; c < 6; ++c)
    callers.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        parallel_for(0, 100, 10, [&](int64_t first, int64_t last) { sum += last - first; });
        try {
          parallel_for(0, 100, 10, [](int64_t, int64_t) { throw ValueError("here"); });
        } catch (const ValueError&) {
          ++caught;
        }
      }
    });
  for (std::thread& t : callers) t.join();
  EXPECT_EQ(sum, 6 * 50 * 100);
  EXPECT_EQ(caught, 6 * 50);
}

}  // namespace
}  // namespace longformer::test
