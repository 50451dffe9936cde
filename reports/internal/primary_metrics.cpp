#include "reports/internal/primary_metrics.h"

#include <algorithm>
#include <set>

#include "harness/core/metrics.h"

namespace assay {
namespace {

bool have_mixed_kinds(const SweepResults& results,
                      const std::map<std::string, std::string>& primary) {
  std::set<std::string> kinds;
  for (const ExpertSetRecord& set : results.sweep.sets)
    for (const SetTask& task : set.tasks)
      if (const auto metric = primary.find(task.task); task.held_in && metric != primary.end())
        kinds.emplace(metric_kind(metric->second));
  return kinds.size() > 1;
}

}  // namespace

std::map<std::string, std::string> primary_metrics(const SweepResults& results) {
  std::map<std::string, std::string> metrics;
  for (const auto& placed : results.runs)
    for (const ScoreRecord& score : placed.run.scores)
      if (score.primary) metrics.emplace(score.task, score.metric);
  return metrics;
}

std::vector<std::string> metrics_in_order(const SweepResults& results,
                                          const std::map<std::string, std::string>& primary) {
  std::vector<std::string> metrics, others;
  if (have_mixed_kinds(results, primary)) metrics.emplace_back(kRelativeScore);
  // Complete runs first: a run whose first tasks failed must not decide the primary metric.
  for (const bool complete : {true, false})
    for (const auto& placed : results.runs) {
      if ((placed.run.status == RunStatus::kOk) != complete) continue;
      for (const ScoreRecord& score : placed.run.scores) {
        auto& list = score.primary ? metrics : others;
        if (std::find(list.begin(), list.end(), score.metric) == list.end())
          list.push_back(score.metric);
      }
    }
  for (const std::string& metric : others)
    if (std::find(metrics.begin(), metrics.end(), metric) == metrics.end())
      metrics.push_back(metric);
  if (metrics.empty()) metrics.emplace_back("score");  // no run succeeded: tables without numbers
  return metrics;
}

}  // namespace assay
