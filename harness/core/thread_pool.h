/// Threads that wait for work, so that a kernel does not start its own.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace assay {

/// The indices [0, count) that the threads of one parallel call divide among themselves. Each
/// thread has its own queue; together they hand out every index once, in ascending order.
class IndexQueue {
 public:
  /// The next index; absent when all are taken, and after a failure in any thread.
  std::optional<int64_t> next();

 private:
  friend class ThreadPool;
  /// What the queues of one call have in common.
  struct Shared {
    int64_t count;
    std::atomic<int64_t> next{0};
    std::atomic<bool> failed{false};
    std::mutex mutex{};  ///< guards what is below
    std::exception_ptr failure{};
    int64_t failed_at = 0;  ///< the lowest index that failed
  };
  explicit IndexQueue(Shared& shared) : shared_(shared) {}

  Shared& shared_;
  int64_t current_ = -1;  ///< what next() gave last; -1 before the first
};

class ThreadPool {
 public:
  /// The pool that all kernels share. Its threads are started when first asked for and end with the
  /// program.
  static ThreadPool& shared();

  ~ThreadPool();

  /// Calls `work` on this thread and concurrently on up to `threads` - 1 others, no more than there
  /// are indices, and returns when all calls have. A thread that comes too late is not waited for:
  /// `work` takes its share from the queue until that is empty. Called from within `work`, or while
  /// another thread's call runs, it calls `work` on this thread alone.
  /// When `work` throws, no more indices are handed out, and those taken are finished. Rethrows the
  /// exception of the lowest index, so it does not depend on which thread fails first; an exception
  /// before the first index counts as lowest.
  void run(int64_t threads, int64_t count, const std::function<void(IndexQueue& indices)>& work);

 private:
  /// Calls `work`, which does not throw, on up to so many threads.
  void call(int64_t threads, const std::function<void()>& work);
  void loop();

  std::mutex caller_;  ///< held by the thread whose call runs
  std::mutex mutex_;   ///< held to write what is below
  std::condition_variable wake_, done_;
  const std::function<void()>* work_ = nullptr;
  std::atomic<int64_t> wanted_{0};  ///< helpers that may still join
  std::atomic<int> active_{0};      ///< helpers at work
  std::atomic<bool> ending_{false};
  int64_t sleeping_ = 0;  ///< helpers that must be woken
  std::vector<std::thread> helpers_;
};

}  // namespace assay
