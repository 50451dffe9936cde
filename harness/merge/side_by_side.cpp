#include "harness/merge/side_by_side.h"

#include <ATen/Parallel.h>

#include <atomic>
#include <exception>
#include <mutex>

#include "harness/kernels/pool.h"

namespace assay {

void side_by_side(size_t count, const std::function<void(size_t i)>& work) {
  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  std::mutex mutex;
  std::exception_ptr failure;
  size_t failed_at = count;
  ThreadPool::shared().run(at::get_num_threads(), [&] {
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

}  // namespace assay
