#include "harness/core/thread_pool.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>

#include "tests/catch.h"

using namespace assay;

namespace {

/// Waits until `count` threads have come here.
void meet(std::atomic<int>& arrived, int count) {
  ++arrived;
  while (arrived < count) std::this_thread::yield();
}

}  // namespace

TEST_CASE("every index is handed out once, whatever the number of threads", "[core]") {
  ThreadPool pool;
  for (const int64_t threads : {1, 2, 8}) {
    for (const int64_t count : {0, 1, 2, 1000}) {
      std::vector<std::atomic<int>> seen(static_cast<size_t>(count));
      std::atomic<bool> ascending = true;
      pool.run(threads, count, [&](IndexQueue& indices) {
        int64_t last = -1;
        while (const auto i = indices.next()) {
          if (*i <= last) ascending = false;
          last = *i;
          ++seen[static_cast<size_t>(last)];
        }
      });
      CHECK(std::all_of(seen.begin(), seen.end(), [](const auto& times) { return times == 1; }));
      CHECK(ascending);
    }
  }
}

TEST_CASE("the pool calls work no more often than asked and on this thread too", "[core]") {
  ThreadPool pool;
  for (const auto& [threads, count, most] :
       {std::array{4, 10, 4}, {1, 10, 1}, {4, 2, 2}, {2, 0, 1}}) {
    std::atomic<int> calls{0}, here{0};
    pool.run(threads, count, [&, caller = std::this_thread::get_id()](IndexQueue&) {
      ++calls;
      if (std::this_thread::get_id() == caller) ++here;
    });
    CHECK(here == 1);
    CHECK(calls <= most);
  }
}

TEST_CASE("all threads of the pool work at the same time", "[core]") {
  ThreadPool pool;
  std::atomic<int> arrived{0};

  pool.run(3, 3, [&](IndexQueue&) { meet(arrived, 3); });

  CHECK(arrived == 3);
}

TEST_CASE("work within work runs on the thread that asks", "[core]") {
  ThreadPool pool;
  std::atomic<int> wrong{0};
  pool.run(2, 2, [&](IndexQueue&) {
    const auto outer = std::this_thread::get_id();
    for (int again = 0; again < 2; ++again) {
      int calls = 0;
      pool.run(2, 2, [&](IndexQueue&) {
        ++calls;
        wrong += std::this_thread::get_id() == outer ? 0 : 1;
      });
      wrong += calls == 1 ? 0 : 1;
    }
  });
  CHECK(wrong == 0);
}

TEST_CASE("an exception of any thread reaches the caller, and the pool goes on", "[core]") {
  ThreadPool pool;
  std::atomic<int> arrived{0};
  const auto caller = std::this_thread::get_id();
  for (const bool helper : {true, false}) {
    arrived = 0;
    const auto work = [&](IndexQueue&) {
      meet(arrived, 2);
      if ((std::this_thread::get_id() != caller) == helper) throw std::runtime_error("broken");
    };
    CHECK_THROWS_WITH(pool.run(2, 2, work), "broken");
  }
  std::atomic<int> calls{0};
  pool.run(2, 2, [&](IndexQueue&) { ++calls; });
  CHECK(calls >= 1);
}

TEST_CASE("the failure of the lowest index is reported, whichever comes first", "[core]") {
  ThreadPool pool;
  // Both threads hold an index before either fails; then one lets the other go first.
  for (const bool lower_first : {true, false}) {
    std::atomic<int> arrived{0};
    std::atomic<bool> other_failed{false};
    const auto work = [&](IndexQueue& indices) {
      const auto i = indices.next();
      meet(arrived, 2);
      while ((*i == 0) != lower_first && !other_failed) std::this_thread::yield();
      other_failed = true;
      throw std::runtime_error(std::to_string(*i));
    };
    CHECK_THROWS_WITH(pool.run(2, 2, work), "0");
  }
}

TEST_CASE("of several failures one error is reported at any number of threads", "[core]") {
  ThreadPool pool;
  for (const int64_t threads : {1, 2, 3, 8})
    for (int again = 0; again < 50; ++again) {
      std::atomic<int64_t> begun{0};
      const auto work = [&](IndexQueue& indices) {
        while (const auto i = indices.next()) {
          ++begun;
          if (*i >= 7 && *i % 3 == 1) throw std::runtime_error(std::to_string(*i));
        }
      };
      CHECK_THROWS_WITH(pool.run(threads, 100'000, work), "7");
      CHECK(begun < 100'000);
    }
}
