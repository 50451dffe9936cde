/// Models kept on an accelerator, so that the cells of a sweep do not copy them there again.
#pragma once

#include <list>
#include <memory>
#include <string>

#include "harness/checkpoint/tensors.h"

namespace assay {

class HeldModels {
 public:
  /// Keeps at most `capacity_bytes` of tensors on the device.
  HeldModels(at::Device device, int64_t capacity_bytes)
      : device_(device), capacity_(capacity_bytes) {}
  /// With half of the memory that the device, no CPU, has free now.
  explicit HeldModels(at::Device device);

  /// The model with its tensors on the device, copied when no model of equal content is held. Makes
  /// space by LRU eviction. A model that does not fit is returned as it is.
  std::shared_ptr<const TensorSource> hold(std::shared_ptr<const TensorSource> model);

 private:
  struct Held {
    std::string content_hash;
    int64_t bytes;
    std::shared_ptr<const TensorSource> model;
  };

  /// Evicts models that nobody uses until `bytes` fit; false when they do not.
  bool evict_for(int64_t bytes);

  at::Device device_;
  int64_t capacity_, bytes_ = 0;
  std::list<Held> held_;  ///< the most recently used first
};

}  // namespace assay
