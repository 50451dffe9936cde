/// The summary of a sweep's results, in sentences.
#pragma once

#include <string>
#include <vector>

#include "reports/internal/leaderboard.h"

namespace assay {

/// Covers: whether the sweep is unfinished, the best merging row and those tied with it by a paired
/// test, rows worse than the base, the cost of tuning, choices on the edge of their grid, runs
/// without a result.
std::vector<std::string> summary(const SweepResults& results, const Leaderboard& board);

}  // namespace assay
