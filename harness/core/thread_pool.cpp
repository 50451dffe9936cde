#include "harness/core/thread_pool.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace assay {
namespace {

thread_local bool at_work = false;  ///< this thread is inside run()

/// Waits a little for what mostly comes soon: a thread that sleeps takes longer to wake than many a
/// kernel runs.
template <typename Condition>
void watch(const Condition& condition) {
  constexpr std::chrono::microseconds kPatience{300};
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!condition() && std::chrono::steady_clock::now() < end)
    for (int i = 0; i < 16 && !condition(); ++i) {
#ifdef __x86_64__
      __builtin_ia32_pause();
#endif
    }
}

}  // namespace

ThreadPool& ThreadPool::shared() {
  static ThreadPool pool;
  return pool;
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_all();
  for (std::thread& helper : helpers_) helper.join();
}

void ThreadPool::call(const std::function<void()>& work) {
  at_work = true;
  try {
    work();
  } catch (...) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::current_exception();
  }
  at_work = false;
}

void ThreadPool::run(int threads, const std::function<void()>& work) {
  std::unique_lock<std::mutex> caller(caller_, std::defer_lock);
  if (threads <= 1 || at_work || !caller.try_lock()) {
    work();
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    while (std::ssize(helpers_) < threads - 1) helpers_.emplace_back([this] { loop(); });
    work_ = &work;
    wanted_ = threads - 1;
    for (int i = std::min(threads - 1, sleeping_); i > 0; --i) wake_.notify_one();
  }
  call(work);
  {
    const std::lock_guard lock(mutex_);
    wanted_ = 0;
  }
  watch([this] { return active_ == 0; });
  std::unique_lock lock(mutex_);
  done_.wait(lock, [this] { return active_ == 0; });
  if (const std::exception_ptr error = std::exchange(error_, nullptr)) {
    lock.unlock();
    std::rethrow_exception(error);
  }
}

void ThreadPool::loop() {
  while (true) {
    const auto called = [this] { return ending_ || wanted_ > 0; };
    watch(called);
    std::unique_lock lock(mutex_);
    ++sleeping_;
    wake_.wait(lock, called);
    --sleeping_;
    if (ending_) return;
    --wanted_;
    ++active_;
    const std::function<void()>& work = *work_;
    lock.unlock();
    call(work);
    lock.lock();
    if (--active_ == 0) done_.notify_one();
  }
}

}  // namespace assay
