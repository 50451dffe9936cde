/// Many small pieces of work, each on one thread.
#pragma once

#include <cstddef>
#include <functional>

namespace assay {

/// Calls `work(i)` for all i < `count`, begun in this order, on as many threads as
/// at::get_num_threads() says; the kernels in a call stay on its thread, unless there is one call
/// alone. After a failure no more calls are begun; rethrows that of the least i.
void side_by_side(size_t count, const std::function<void(size_t i)>& work);
/// The same where that is only for pieces that are `small(i)`: those between two others. Of the
/// others each has all threads, so that none waits long for the end of a step that is not divided.
void side_by_side(size_t count, const std::function<bool(size_t i)>& small,
                  const std::function<void(size_t i)>& work);

}  // namespace assay
