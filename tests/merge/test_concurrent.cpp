#include "harness/merge/engine/concurrent.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "harness/core/cost.h"
#include "harness/core/thread_pool.h"
#include "tests/catch.h"

using namespace assay;

TEST_CASE("every piece of work is done once, its kernels on its own thread", "[merge]") {
  std::vector<std::atomic<int>> done(100);
  run_concurrently(done.size(), [&](size_t i) {
    const auto here = std::this_thread::get_id();
    ThreadPool::shared().run(at::get_num_threads(), at::get_num_threads(), [&](IndexQueue&) {
      done[i] += std::this_thread::get_id() == here ? 1 : 100;
    });
  });
  for (const auto& count : done) CHECK(count == 1);
  run_concurrently(0, [](size_t) { FAIL("there is nothing to do"); });
}

TEST_CASE("after a failure no work is begun, and the first one is rethrown", "[merge]") {
  std::atomic<size_t> begun{0};
  const auto work = [&](size_t i) {
    ++begun;
    if (i >= 3) throw std::runtime_error(std::to_string(i));
  };
  CHECK_THROWS_WITH(run_concurrently(10'000, work), "3");
  CHECK(begun <= 3 + static_cast<size_t>(at::get_num_threads()));
}

TEST_CASE("large pieces come one after the other, those between them concurrently", "[merge]") {
  std::atomic<size_t> begun{0};
  std::atomic<int> passed{0}, threads_wrong{0};
  std::vector<std::atomic<int>> done(40);
  const int all_threads = at::get_num_threads();
  const auto small = [](size_t i) { return i % 10 != 0; };
  run_concurrently(done.size(), small, [&](size_t i) {
    const size_t before = begun++;
    if (before / 10 != i / 10 || (!small(i) && before != i)) ++passed;  // a large one
    const int threads = small(i) ? std::min(all_threads, 9) : 1;
    if (counters::concurrent_threads != threads) ++threads_wrong;
    ++done[i];
  });
  for (const auto& count : done) CHECK(count == 1);
  CHECK(passed == 0);
  CHECK(threads_wrong == 0);
}
