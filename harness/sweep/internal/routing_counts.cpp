#include "harness/sweep/internal/routing_counts.h"

#include <ATen/ATen.h>

#include "harness/model/observer.h"

namespace assay {

bool has_routers(const AnyLanguageModel& model, ExecutionContext& context) {
  if (std::holds_alternative<RoutedModel>(model)) return true;
  return std::visit(
      [&](const auto& one) {
        return one.architecture->members() == 1 &&
               !context.profiles()->of(*one.architecture).routers.empty();
      },
      model);
}

RoutingCounts::RoutingCounts(const AnyLanguageModel& model)
    : of_sequences_(std::holds_alternative<RoutedModel>(model)) {}

void RoutingCounts::decided(const std::vector<double>& shares) {
  std::vector<int64_t>& sums = decisions[kSequenceRouter];
  sums.resize(shares.size());
  for (size_t i = 0; i < shares.size(); ++i) sums[i] += shares[i] > 0 ? 1 : 0;
}

void RoutingCounts::routed(const RoutedTokens& tokens) {
  if (of_sequences_) return;
  at::Tensor chosen = tokens.weights > 0;  // bool [tokens, k]
  if (const at::Tensor counted = CountedTokens::current(); counted.defined())
    chosen = chosen.logical_and(counted.flatten().to(chosen.device()).unsqueeze(1));
  const int64_t experts = tokens.logits.size(1);
  const at::Tensor counts =
      at::bincount(tokens.experts.masked_select(chosen), {}, experts).to(at::kCPU);
  std::vector<int64_t>& sums = decisions[tokens.router];
  sums.resize(static_cast<size_t>(experts));
  for (size_t i = 0; i < sums.size(); ++i) sums[i] += counts.const_data_ptr<int64_t>()[i];
}

void note_members(const Cell& cell, const Architecture& merged, RunRecord& record) {
  const auto* routed = dynamic_cast<const RoutedArchitecture*>(&merged);
  if (!routed) return;
  std::vector<std::string> members;
  for (const ModelRef& expert : cell.experts) members.push_back(expert.hash);
  const size_t wanted = routed->architectures().size();
  if (members.size() + 1 == wanted) members.push_back(cell.base.hash);
  if (members.size() == wanted) record.diagnostics[kMembers] = members;
}

}  // namespace assay
