/// Gradient checkpointing (Chen et al., arXiv:1604.06174): blocks keep their inputs only, and run
/// again in the backward pass.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

namespace assay {

/// While one that is enabled exists, decoders on this thread recompute their blocks.
class RecomputeBlocks {
 public:
  explicit RecomputeBlocks(bool enabled);
  ~RecomputeBlocks();
  RecomputeBlocks(const RecomputeBlocks&) = delete;
  RecomputeBlocks& operator=(const RecomputeBlocks&) = delete;

  static bool active();

 private:
  bool before_;
};

/// block(x), of which only x is kept. In the backward pass, `block` runs again with gradients,
/// which reach x and every leaf that it uses, and under the autocast of the forward pass. It must
/// give the same values again, and own what it refers to.
at::Tensor recomputed(std::function<at::Tensor(const at::Tensor&)> block, const at::Tensor& x);

}  // namespace assay
