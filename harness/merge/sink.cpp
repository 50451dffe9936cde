#include "harness/merge/sink.h"

#include <ATen/ATen.h>

namespace assay {

const Json* MergeSink::resumed(const TensorInfo&) const { return nullptr; }

void MergeSink::end(const TensorInfo&, const Json&) {}

void MemorySink::begin(const std::vector<TensorInfo>& tensors) {
  StateDict kept;
  for (const TensorInfo& info : tensors) {
    at::Tensor& tensor = kept[info.name];
    const auto known = tensors_.find(info.name);
    if (known != tensors_.end() && known->second.sizes() == at::IntArrayRef(info.shape) &&
        known->second.scalar_type() == info.dtype)
      tensor = known->second;
    else
      tensor = at::empty(info.shape, at::device(device_).dtype(info.dtype));
  }
  tensors_ = std::move(kept);
}

at::Tensor MemorySink::buffer(const TensorInfo& tensor, int64_t first, int64_t count) {
  return elements(tensors_.at(tensor.name), first, count);
}

}  // namespace assay
