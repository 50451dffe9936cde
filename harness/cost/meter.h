/// Measures what a piece of work costs, from its construction to stop().
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "harness/core/cost.h"

namespace assay {

/// Counts the floating-point operations of LibTorch operators into counters::flops for as long as the
/// process runs: matrix products, convolutions, normalisations, element-wise work and reductions, by
/// their shapes. One multiply-add is two. Assay's own kernels add theirs. Idempotent.
void count_operator_flops();

class Meter {
 public:
  explicit Meter(at::Device device = at::kCPU);
  ~Meter();
  Meter(const Meter&) = delete;
  Meter& operator=(const Meter&) = delete;

  /// The cost so far. Waits for the device to finish its work first. Nested meters each see their own
  /// span; peak_rss_bytes is absent where the system does not let the peak be reset.
  Cost stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace assay
