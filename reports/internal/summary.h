/// What a sweep's results say, in sentences that its numbers support.
#pragma once

#include <string>
#include <vector>

#include "reports/internal/leaderboard.h"

namespace assay {

/// Whether the sweep is unfinished, the best merging row and those that a test in pairs cannot tell
/// from it, rows below the base, what tuning cost, choices on the edge of their grid, runs without
/// a result.
std::vector<std::string> summary(const SweepResults& results, const Leaderboard& board);

}  // namespace assay
