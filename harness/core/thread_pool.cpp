#include "harness/core/thread_pool.h"

#include <algorithm>
#include <chrono>

namespace assay {
namespace {

thread_local bool at_work = false;  ///< this thread is inside a call of run()

/// Spins for a short time on what mostly comes soon: a thread that sleeps takes longer to wake than
/// many a kernel runs.
template <typename Condition>
void spin_for(const Condition& condition) {
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

std::optional<int64_t> IndexQueue::next() {
  if (shared_.failed.load(std::memory_order_relaxed)) return std::nullopt;
  // An index that is taken is worked on, failure or not: so no lower failure is missed.
  const int64_t index = shared_.next.fetch_add(1, std::memory_order_relaxed);
  if (index >= shared_.count) return std::nullopt;
  return current_ = index;
}

void ThreadPool::run(int64_t threads, int64_t count,
                     const std::function<void(IndexQueue& indices)>& work) {
  IndexQueue::Shared shared{.count = count};
  call(std::min(threads, count), [&] {
    IndexQueue indices(shared);
    try {
      work(indices);
    } catch (...) {
      const std::lock_guard lock(shared.mutex);
      shared.failed = true;
      if (shared.failure && shared.failed_at <= indices.current_) return;
      shared.failed_at = indices.current_;
      shared.failure = std::current_exception();
    }
  });
  if (shared.failure) std::rethrow_exception(shared.failure);
}

void ThreadPool::call(int64_t threads, const std::function<void()>& work) {
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
    for (int64_t i = std::min(threads - 1, sleeping_); i > 0; --i) wake_.notify_one();
  }
  at_work = true;
  work();
  at_work = false;
  {
    const std::lock_guard lock(mutex_);
    wanted_ = 0;
  }
  spin_for([this] { return active_ == 0; });
  std::unique_lock lock(mutex_);
  done_.wait(lock, [this] { return active_ == 0; });
}

void ThreadPool::loop() {
  while (true) {
    const auto called = [this] { return ending_ || wanted_ > 0; };
    spin_for(called);
    std::unique_lock lock(mutex_);
    ++sleeping_;
    wake_.wait(lock, called);
    --sleeping_;
    if (ending_) return;
    --wanted_;
    ++active_;
    const std::function<void()>& work = *work_;
    lock.unlock();
    at_work = true;
    work();
    at_work = false;
    lock.lock();
    if (--active_ == 0) done_.notify_one();
  }
}

}  // namespace assay
