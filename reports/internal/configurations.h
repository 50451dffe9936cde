/// The parameters of a merge's row, and which of them its grid tuned.
#pragma once

#include <string>
#include <vector>

#include "reports/internal/leaderboard.h"

namespace assay {

/// Names of the parameters with several values in the grid.
std::vector<std::string> tuned_parameters(const std::vector<const SweepResults::PlacedRun*>& grid);

/// Adds the row's configurations, one for each distinct set of parameters in `placed`. Needs
/// row.tuned_parameters.
void add_configurations(const SweepResults& results,
                        const std::vector<const SweepResults::PlacedRun*>& placed,
                        const std::vector<const SweepResults::PlacedRun*>& grid,
                        LeaderboardRow& row);

}  // namespace assay
