/// For LibTorch's operators whose order of summation depends on how many threads they run on.
#pragma once

#include <ATen/Parallel.h>

namespace assay {

/// LibTorch's operators run on this thread alone for the object's lifetime.
class OneThread {
 public:
  OneThread() { at::set_num_threads(1); }
  ~OneThread() { at::set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_ = at::get_num_threads();
};

}  // namespace assay
