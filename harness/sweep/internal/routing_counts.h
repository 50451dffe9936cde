/// How often the routers of a mixture choose each expert.
#pragma once

#include "harness/model/router_observer.h"
#include "harness/model/sequence_to_sequence.h"
#include "results/routing.h"

namespace assay {

/// Whether tokens are sent to experts in it. False for ensembles, whose members are several models.
bool has_routers(const AnyLanguageModel& model);

/// Counts, on this thread for as long as it lives, every choice of an expert for a token that a
/// forward pass computes. Padding does not count, nor does a token that its expert had no place
/// for.
class RoutingCounts final : public RouterObserver {
 public:
  void routed(const RoutedTokens& tokens) override;
  bool reads_outputs() const override { return false; }

  RouterDecisions decisions;
};

}  // namespace assay
