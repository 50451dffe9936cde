#include "harness/merge/engine/concurrent.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "harness/core/cost.h"
#include "harness/core/thread_pool.h"

namespace assay {
namespace {

/// While this is there, the thread is one of several that work side by side.
class Apart {
 public:
  explicit Apart(int threads) { counters::threads_apart = threads; }
  ~Apart() { counters::threads_apart = before_; }
  Apart(const Apart&) = delete;
  Apart& operator=(const Apart&) = delete;

 private:
  int before_ = counters::threads_apart;
};

}  // namespace

void side_by_side(size_t count, const std::function<void(size_t i)>& work) {
  const int threads = static_cast<int>(std::min<size_t>(at::get_num_threads(), count));
  ThreadPool::shared().run(threads, static_cast<int64_t>(count), [&](IndexQueue& indices) {
    const Apart apart(threads);
    while (const auto i = indices.next()) work(static_cast<size_t>(*i));
  });
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
