#include <atomic>
#include <stdexcept>

#include "harness/core/thread_pool.h"
#include "harness/kernels/blocks.h"
#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;

TEST_CASE("every block is handed out once, whatever the number of threads", "[kernels]") {
  for (const int threads : {1, 2, 3, 8, 2}) {
    const Threads some(threads);
    for (const int64_t count : {int64_t{0}, int64_t{1}, kBlock, 37 * kBlock + 5}) {
      std::vector<std::atomic<int>> seen(static_cast<size_t>(num_blocks(count)));
      std::atomic<int64_t> elements{0};
      share_blocks(count, [&](BlockQueue& queue) {
        for (Block block; queue.next(block);) {
          ++seen[static_cast<size_t>(block.index)];
          for_runs(block, [&](int64_t, int64_t size) { elements += size; });
        }
      });
      CHECK(elements == count);
      CHECK(std::all_of(seen.begin(), seen.end(), [](const auto& times) { return times == 1; }));
    }
  }
}

TEST_CASE("the pool calls work no more often than asked and on this thread too", "[kernels]") {
  ThreadPool pool;
  for (const int threads : {4, 1, 2}) {
    std::atomic<int> calls{0}, here{0};
    pool.run(threads, [&, caller = std::this_thread::get_id()] {
      ++calls;
      if (std::this_thread::get_id() == caller) ++here;
    });
    CHECK(here == 1);
    CHECK(calls <= threads);
  }
}

TEST_CASE("all threads of the pool work at the same time", "[kernels]") {
  ThreadPool pool;
  std::atomic<int> arrived{0};

  pool.run(3, [&] {
    ++arrived;
    while (arrived < 3) std::this_thread::yield();
  });

  CHECK(arrived == 3);
}

TEST_CASE("work within work runs on the thread that asks", "[kernels]") {
  ThreadPool pool;
  std::atomic<int> wrong{0};
  pool.run(2, [&] {
    const auto outer = std::this_thread::get_id();
    for (int again = 0; again < 2; ++again) {
      int calls = 0;
      pool.run(2, [&] {
        ++calls;
        wrong += std::this_thread::get_id() == outer ? 0 : 1;
      });
      wrong += calls == 1 ? 0 : 1;
    }
  });
  CHECK(wrong == 0);
}

TEST_CASE("an exception of any thread reaches the caller, and the pool goes on", "[kernels]") {
  ThreadPool pool;
  std::atomic<int> arrived{0};
  const auto caller = std::this_thread::get_id();
  for (const bool helper : {true, false}) {
    arrived = 0;
    CHECK_THROWS_WITH(pool.run(2,
                               [&] {
                                 ++arrived;
                                 while (arrived < 2) std::this_thread::yield();
                                 if ((std::this_thread::get_id() != caller) == helper)
                                   throw std::runtime_error("broken");
                               }),
                      "broken");
  }
  std::atomic<int> calls{0};
  pool.run(2, [&] { ++calls; });
  CHECK(calls >= 1);
}
