/// Which metrics a report has, and which of them ranks its rows.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "results/store.h"

namespace assay {

/// What ranks rows where the primary metrics of held-in tasks are of different kinds, as it chooses
/// their parameters: of a held-in task the relative_score() of its primary metric to the own
/// expert's, of a held-out task to the base's. A fraction, shown in %.
inline constexpr const char* kRelativeScore = "relative_score";

/// The primary metric of each task that some run has a score of, by the task's name.
std::map<std::string, std::string> primary_metrics(const SweepResults& results);

/// All metrics: what ranks rows first, which is kRelativeScore where the held-in tasks' primary
/// metrics (`primary`, by task) are of different kinds; then primary ones, those of complete runs
/// before others'. Never empty.
std::vector<std::string> metrics_in_order(const SweepResults& results,
                                          const std::map<std::string, std::string>& primary);

}  // namespace assay
