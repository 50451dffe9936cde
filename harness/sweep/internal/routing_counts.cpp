#include "harness/sweep/internal/routing_counts.h"

#include <ATen/ATen.h>

#include "harness/model/layers_of.h"
#include "harness/model/observer.h"

namespace assay {

bool has_routers(const AnyLanguageModel& model) {
  if (std::holds_alternative<RoutedModel>(model)) return false;
  return std::visit(
      [](const auto& one) {
        return one.architecture->members() == 1 && !experts_of(*one.architecture).empty();
      },
      model);
}

void RoutingCounts::routed(const RoutedTokens& tokens) {
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

}  // namespace assay
