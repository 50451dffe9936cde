/// Threads that wait for work, so that a kernel does not start its own.
#pragma once

#include <atomic>
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace assay {

class ThreadPool {
 public:
  /// The pool that all kernels share. Its threads are started when first asked for and end with the
  /// program.
  static ThreadPool& shared();

  ~ThreadPool();

  /// Calls `work` on this thread and on up to `threads` - 1 others at the same time, and returns
  /// when all calls have; a thread that comes too late is not waited for, so `work` must take its
  /// share from a common supply. Called from within `work`, or while another thread's call runs, it
  /// calls `work` on this thread alone. Rethrows the first exception.
  void run(int threads, const std::function<void()>& work);

 private:
  void loop();
  void call(const std::function<void()>& work);

  std::mutex caller_;  ///< held by the thread whose call runs
  std::mutex mutex_;   ///< held to write what is below
  std::condition_variable wake_, done_;
  const std::function<void()>* work_ = nullptr;
  std::atomic<int> wanted_{0};  ///< helpers that may still join
  std::atomic<int> active_{0};  ///< helpers at work
  std::atomic<bool> ending_{false};
  int sleeping_ = 0;  ///< helpers that must be woken
  std::exception_ptr error_;
  std::vector<std::thread> helpers_;
};

}  // namespace assay
