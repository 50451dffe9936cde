/// What routers decided, over runs.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "results/routing.h"
#include "results/store.h"

namespace assay {

struct RoutingSums {
  TaskRouting tasks;
  /// Of a routed ensemble, the names of its members in the order of the counts; empty where they
  /// are not known, and of mixtures.
  std::vector<std::string> members;
};

/// Of one row's runs. Mixtures of a row may differ in their number of experts. The members of
/// routed ensembles are added up by their checkpoint; `names`: by its hash.
RoutingSums sum_of_routing(const std::vector<const SweepResults::PlacedRun*>& placed,
                           const std::map<std::string, std::string>& names);

}  // namespace assay
