/// How large the models of a sweep are, where its runs say so.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "results/model_size.h"
#include "results/store.h"

namespace assay {

/// The mean over these runs; absent of ensembles and old results.
std::optional<ModelSize> mean_size(const std::vector<const SweepResults::PlacedRun*>& placed);

/// The parameters of each set's base, without one those of its first expert.
std::map<std::string, int64_t> parameters_by_set(const SweepResults& results);

}  // namespace assay
