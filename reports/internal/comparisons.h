/// Paired comparisons of merges with the best merge, the baseline and the base.
#pragma once

#include <map>
#include <string>

#include "reports/internal/row_terms.h"

namespace assay {

/// Sets board.best, and the comparisons of every merge, by the primary metric. `runs`: by row
/// label. `baseline`: a row's label or name; empty: the simple average. UserError when no row, or
/// more than one, matches it.
void add_comparisons(const TermSource& source, const std::map<std::string, UsableRuns>& runs,
                     const std::string& baseline, Leaderboard& board);

}  // namespace assay
