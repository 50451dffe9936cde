/// One file of tensors, in whatever format.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "harness/checkpoint/tensors.h"

namespace assay {

class TensorFile {
 public:
  virtual ~TensorFile() = default;
  /// In name order.
  virtual const std::vector<TensorInfo>& tensors() const = 0;
  /// `index` into tensors(). Adds to counters::bytes_read. The result may share the file's memory.
  at::Tensor read(size_t index) const;
  /// Elements [first, first + count) of the flattened tensor, likewise.
  virtual at::Tensor read_part(size_t index, int64_t first, int64_t count) const = 0;
  /// madvise on those elements: MADV_WILLNEED (prefetch) and MADV_DONTNEED (release).
  virtual void prefetch(size_t index, int64_t first, int64_t count) const = 0;
  virtual void release(size_t index, int64_t first, int64_t count) const = 0;
};

}  // namespace assay
