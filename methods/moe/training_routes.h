/// Where tokens are sent while a mixture is trained, where that is not where it sends them when it
/// runs.
#pragma once

#include <cstddef>
#include <cstdint>

#include "harness/method/routed_network.h"

namespace assay {

class TrainingRoutes {
 public:
  virtual ~TrainingRoutes() = default;
  /// In the pass over one expert's examples of a step, counted from 0 over all stages.
  virtual RouteTokens route(size_t expert, int64_t step) = 0;
  /// A step is over; `seen`: the share of the stage's tokens, 1 or more after the last step.
  virtual void stepped(double /*seen*/) {}
};

}  // namespace assay
