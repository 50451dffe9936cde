/// How often routers choose each expert of a mixture, or each member of a routed ensemble.
#pragma once

#include "harness/model/router_observer.h"
#include "harness/model/sequence_to_sequence.h"
#include "harness/sweep/cell.h"
#include "harness/sweep/execution_context.h"
#include "results/records.h"
#include "results/routing.h"

namespace assay {

/// Whether tokens are sent to experts in it, or sequences to members. False for output ensembles,
/// whose members are several models.
bool has_routers(const AnyLanguageModel& model, ExecutionContext& context);

/// Counts, on this thread for as long as it lives, every choice of an expert for a token that a
/// forward pass of this model computes. Padding does not count, nor does a token that its expert
/// had no place for. Of a routed ensemble it counts every member that a decision about a prompt
/// gives a share of the answer, and not what its members' own routers choose.
class RoutingCounts final : public RouterObserver {
 public:
  explicit RoutingCounts(const AnyLanguageModel& model);
  void routed(const RoutedTokens& tokens) override;
  void decided(const std::vector<double>& shares) override;
  bool reads_outputs() const override { return false; }

  RouterDecisions decisions;

 private:
  bool of_sequences_;
};

/// Notes which checkpoints the members of a merge's routed ensemble are (kMembers): the cell's
/// experts, then its base where that is one more.
void note_members(const Cell& cell, const Architecture& merged, RunRecord& record);

}  // namespace assay
