#include "reports/internal/routing.h"

#include <algorithm>

namespace assay {

TaskRouting sum_of_routing(const std::vector<const SweepResults::PlacedRun*>& placed) {
  TaskRouting sum;
  for (const auto* p : placed) {
    const auto found = p->run.diagnostics.find(kRouting);
    if (found == p->run.diagnostics.end()) continue;
    for (const auto& [task, decisions] : found->get<TaskRouting>())
      for (const auto& [router, counts] : decisions) {
        std::vector<int64_t>& sums = sum[task][router];
        sums.resize(std::max(sums.size(), counts.size()));
        for (size_t i = 0; i < counts.size(); ++i) sums[i] += counts[i];
      }
  }
  return sum;
}

}  // namespace assay
