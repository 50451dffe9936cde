/// Runs many small pieces of work concurrently, each on one thread.
#pragma once

#include <cstddef>
#include <functional>

namespace assay {

/// Calls `work(i)` for all i < `count`, begun in this order, on at::get_num_threads() threads. The
/// kernels in a call stay on its thread, unless there is one call alone. After a failure no more
/// calls are begun; rethrows the failure of the smallest i.
void run_concurrently(size_t count, const std::function<void(size_t i)>& work);
/// The same for each run of consecutive pieces that are `small(i)`. Of the others one runs at a
/// time and its kernels use all threads, so that none waits long for an undivided piece.
void run_concurrently(size_t count, const std::function<bool(size_t i)>& small,
                      const std::function<void(size_t i)>& work);

}  // namespace assay
