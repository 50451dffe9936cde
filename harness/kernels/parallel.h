/// Concurrent work whose result does not depend on the number of threads.
#pragma once

#include <cstdint>
#include <functional>

#include "harness/kernels/one_thread.h"

namespace assay {

/// While it lives, LibTorch's operators stay on the thread that calls them: the order of their sums
/// is then fixed. concurrently() gives them work on as many threads as they had before.
class OneThreadEach {
 public:
  OneThreadEach();
  ~OneThreadEach();
  OneThreadEach(const OneThreadEach&) = delete;
  OneThreadEach& operator=(const OneThreadEach&) = delete;

  int64_t threads() const { return threads_; }
  /// nullptr when there is none on this thread.
  static const OneThreadEach* active();

 private:
  int64_t threads_;
  OneThread one_thread_;
  const OneThreadEach* outer_;
};

/// Calls `body` once with each index below `count`: concurrently where a OneThreadEach lives on
/// this thread, else in order. Gradients are recorded on the threads as on this one. When bodies
/// throw, rethrows the exception of the lowest index.
void concurrently(int64_t count, const std::function<void(int64_t index)>& body);

}  // namespace assay
