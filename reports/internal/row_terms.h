/// Converts stored scores to the terms that statistics.h averages.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "reports/internal/leaderboard.h"

namespace assay {

/// Successful runs of one row with a test score for every task of their set.
using UsableRuns = std::vector<const SweepResults::PlacedRun*>;

/// Looks up test scores and their references for normalising: own experts and bases.
class TermSource {
 public:
  explicit TermSource(const SweepResults& results);

  UsableRuns usable(const std::vector<const SweepResults::PlacedRun*>& placed) const;
  /// Scores on the held-in or on the held-out tasks of each run's set: raw ones, or of
  /// kRelativeScore those of primary metrics, divided by their references.
  RowTerms scores(const UsableRuns& runs, const std::string& metric, bool held_in) const;
  RowScores row_scores(const UsableRuns& runs, const std::string& metric) const;
  /// Averages all runs with a score for the task, including those that failed on another task.
  std::vector<TaskScore> task_scores(const std::vector<const SweepResults::PlacedRun*>& placed,
                                     const std::string& metric) const;

 private:
  const ScoreRecord* reference(const std::string& set, const SetTask& task,
                               const std::string& metric) const;
  RowTerms normalised(const UsableRuns& runs, const std::string& metric, bool held_in,
                      std::set<std::string>& left_out) const;

  std::map<std::string, const ExpertSetRecord*> sets_;
  std::map<std::string, const RunRecord*> base_of_set_;
  std::map<std::pair<std::string, std::string>, const RunRecord*> run_of_expert_;  // set, hash
};

}  // namespace assay
