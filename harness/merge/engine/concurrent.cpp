#include "harness/merge/engine/concurrent.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>

#include "harness/core/cost.h"
#include "harness/core/thread_pool.h"

namespace assay {
namespace {

/// While this is there, the thread is one of several that work side by side.
class Apart {
 public:
  explicit Apart(int threads) { counters::concurrent_threads = threads; }
  ~Apart() { counters::concurrent_threads = before_; }
  Apart(const Apart&) = delete;
  Apart& operator=(const Apart&) = delete;

 private:
  int before_ = counters::concurrent_threads;
};

}  // namespace

void side_by_side(size_t count, const std::function<void(size_t i)>& work) {
  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  std::mutex mutex;
  std::exception_ptr failure;
  size_t failed_at = count;
  const int threads = static_cast<int>(std::min<size_t>(at::get_num_threads(), count));
  ThreadPool::shared().run(threads, [&] {
    const Apart apart(threads);
    while (!failed) {
      const size_t i = next++;  // once taken it is done, so that no lesser failure is missed
      if (i >= count) return;
      try {
        work(i);
      } catch (...) {
        const std::lock_guard lock(mutex);
        failed = true;
        if (i < failed_at) {
          failed_at = i;
          failure = std::current_exception();
        }
      }
    }
  });
  if (failure) std::rethrow_exception(failure);
}

void side_by_side(size_t count, const std::function<bool(size_t i)>& small,
                  const std::function<void(size_t i)>& work) {
  for (size_t begin = 0, end = 0; begin < count; begin = end) {
    while (end < count && small(end)) ++end;
    if (end > begin)
      side_by_side(end - begin, [&](size_t i) { work(begin + i); });
    else
      work(end++);
  }
}

}  // namespace assay
