#include "harness/merge/engine/concurrent.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <optional>

#include "harness/core/cost.h"
#include "harness/core/thread_pool.h"
#include "harness/kernels/one_thread.h"

namespace assay {
namespace {

/// Marks the thread, for its lifetime, as one of several that work concurrently (for meters).
class ConcurrentScope {
 public:
  explicit ConcurrentScope(int threads) { counters::concurrent_threads = threads; }
  ~ConcurrentScope() { counters::concurrent_threads = before_; }
  ConcurrentScope(const ConcurrentScope&) = delete;
  ConcurrentScope& operator=(const ConcurrentScope&) = delete;

 private:
  int before_ = counters::concurrent_threads;
};

}  // namespace

void run_concurrently(size_t count, const std::function<void(size_t i)>& work) {
  const int threads = static_cast<int>(std::min<size_t>(at::get_num_threads(), count));
  ThreadPool::shared().run(threads, static_cast<int64_t>(count), [&](IndexQueue& indices) {
    const ConcurrentScope scope(threads);
    std::optional<OneThread> one;  // LibTorch's operators would start threads of their own
    if (threads > 1) one.emplace();
    while (const auto i = indices.next()) work(static_cast<size_t>(*i));
  });
}

void run_concurrently(size_t count, const std::function<bool(size_t i)>& small,
                      const std::function<void(size_t i)>& work) {
  for (size_t begin = 0, end = 0; begin < count; begin = end) {
    while (end < count && small(end)) ++end;
    if (end > begin)
      run_concurrently(end - begin, [&](size_t i) { work(begin + i); });
    else
      work(end++);
  }
}

}  // namespace assay
