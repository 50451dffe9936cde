#include "reports/internal/routing.h"

#include <algorithm>

namespace assay {

RoutingSums sum_of_routing(const std::vector<const SweepResults::PlacedRun*>& placed,
                           const std::map<std::string, std::string>& names) {
  RoutingSums sum;
  std::vector<std::string> hashes;  // of the members of any run
  for (const auto* p : placed) {
    const Json& diagnostics = p->run.diagnostics;
    const auto found = diagnostics.find(kRouting);
    if (found == diagnostics.end()) continue;
    std::vector<size_t> places;  // of this run's members; empty: each has its own
    if (const auto members = diagnostics.find(kMembers); members != diagnostics.end())
      for (const auto& hash : members->get<std::vector<std::string>>()) {
        const auto known = std::find(hashes.begin(), hashes.end(), hash);
        places.push_back(static_cast<size_t>(known - hashes.begin()));
        if (known == hashes.end()) hashes.push_back(hash);
      }
    for (const auto& [task, decisions] : found->get<TaskRouting>())
      for (const auto& [router, counts] : decisions) {
        std::vector<int64_t>& sums = sum.tasks[task][router];
        for (size_t i = 0; i < counts.size(); ++i) {
          const size_t place = places.empty() ? i : places.at(i);
          if (sums.size() <= place) sums.resize(place + 1);
          sums[place] += counts[i];
        }
      }
  }
  for (auto& [unused, decisions] : sum.tasks)
    for (auto& [router, sums] : decisions) sums.resize(std::max(sums.size(), hashes.size()));
  for (const std::string& hash : hashes) {
    const auto name = names.find(hash);
    sum.members.push_back(name == names.end() ? hash : name->second);
  }
  return sum;
}

}  // namespace assay
