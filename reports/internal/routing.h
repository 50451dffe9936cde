/// What mixtures' routers decided, over runs.
#pragma once

#include <vector>

#include "results/routing.h"
#include "results/store.h"

namespace assay {

/// Of one row's runs. Mixtures of a row may differ in their number of experts.
TaskRouting sum_of_routing(const std::vector<const SweepResults::PlacedRun*>& placed);

}  // namespace assay
