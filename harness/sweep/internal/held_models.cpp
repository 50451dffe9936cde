#include "harness/sweep/internal/held_models.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "harness/model/placement.h"

namespace assay {

HeldModels::HeldModels(at::Device device) : HeldModels(device, free_memory(device) / 2) {}

bool HeldModels::evict_for(int64_t bytes) {
  for (auto last = held_.end(); bytes_ + bytes > capacity_ && last != held_.begin();) {
    const auto candidate = std::prev(last);
    if (candidate->model.use_count() > 1) {
      last = candidate;
      continue;
    }
    bytes_ -= candidate->bytes;
    last = held_.erase(candidate);
  }
  return bytes_ + bytes <= capacity_;
}

std::shared_ptr<const TensorSource> HeldModels::hold(std::shared_ptr<const TensorSource> model) {
  const std::string hash = model->content_hash();
  const auto known = std::find_if(held_.begin(), held_.end(),
                                  [&](const Held& held) { return held.content_hash == hash; });
  if (known != held_.end()) {
    held_.splice(held_.begin(), held_, known);
    return known->model;
  }
  int64_t bytes = 0;
  for (const TensorInfo& info : model->tensors()) bytes += info.bytes();
  if (bytes > capacity_ || !evict_for(bytes)) return model;
  StateDict tensors;
  for (const TensorInfo& info : model->tensors())
    tensors[info.name] = model->read(info.name).to(device_);
  held_.push_front(
      {hash, bytes, std::make_shared<MemorySource>(model->label(), std::move(tensors), hash)});
  bytes_ += bytes;
  return held_.front().model;
}

}  // namespace assay
