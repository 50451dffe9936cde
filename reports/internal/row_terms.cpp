#include "reports/internal/row_terms.h"

#include <algorithm>

#include "harness/core/metrics.h"

namespace assay {
namespace {

using Placed = SweepResults::PlacedRun;

// Of kRelativeScore: the primary score, which is then divided.
const ScoreRecord* find_score(const RunRecord& run, const std::string& task,
                              const std::string& metric) {
  for (const ScoreRecord& score : run.scores)
    if (score.split == "test" && score.task == task &&
        (metric == kRelativeScore ? score.primary : score.metric == metric))
      return &score;
  return nullptr;
}

TaskTerm raw_term(const ScoreRecord& score) {
  return {score.task, score.value, {score.outcomes.begin(), score.outcomes.end()}};
}

}  // namespace

TermSource::TermSource(const SweepResults& results) {
  for (const ExpertSetRecord& set : results.sweep.sets) sets_[set.name] = &set;
  for (const Placed& placed : results.runs) {
    const RunRecord& run = placed.run;
    if (run.split != "test") continue;
    if (run.kind == RunKind::kBase) base_of_set_.emplace(placed.placement.set, &run);
    if (run.kind == RunKind::kExpert && !run.experts.empty())
      run_of_expert_.emplace(std::pair(placed.placement.set, run.experts.front()), &run);
  }
}

UsableRuns TermSource::usable(const std::vector<const Placed*>& placed) const {
  UsableRuns runs;
  for (const Placed* p : placed) {
    const auto& tasks = sets_.at(p->placement.set)->tasks;
    const bool complete = std::all_of(tasks.begin(), tasks.end(), [&](const SetTask& task) {
      return std::any_of(p->run.scores.begin(), p->run.scores.end(), [&](const ScoreRecord& s) {
        return s.primary && s.split == "test" && s.task == task.task;
      });
    });
    if (p->run.status == RunStatus::kOk && complete) runs.push_back(p);
  }
  return runs;
}

RowTerms TermSource::scores(const UsableRuns& runs, const std::string& metric, bool held_in) const {
  std::set<std::string> left_out;
  if (metric == kRelativeScore) return normalised(runs, metric, held_in, left_out);
  RowTerms row;
  for (const Placed* p : runs) {
    RunTerms terms;
    for (const SetTask& task : sets_.at(p->placement.set)->tasks)
      if (task.held_in == held_in)
        if (const ScoreRecord* score = find_score(p->run, task.task, metric))
          terms.push_back(raw_term(*score));
    if (!terms.empty()) row[p->placement.set].push_back(std::move(terms));
  }
  return row;
}

const ScoreRecord* TermSource::reference(const std::string& set, const SetTask& task,
                                         const std::string& metric) const {
  const RunRecord* run = nullptr;
  if (task.held_in) {
    if (const auto it = run_of_expert_.find({set, task.own_expert}); it != run_of_expert_.end())
      run = it->second;
  } else if (const auto it = base_of_set_.find(set); it != base_of_set_.end()) {
    run = it->second;
  }
  return run ? find_score(*run, task.task, metric) : nullptr;
}

RowTerms TermSource::normalised(const UsableRuns& runs, const std::string& metric, bool held_in,
                                std::set<std::string>& left_out) const {
  RowTerms row;
  for (const Placed* p : runs) {
    const std::string& set = p->placement.set;
    RunTerms terms;
    for (const SetTask& task : sets_.at(set)->tasks) {
      if (task.held_in != held_in) continue;
      const ScoreRecord* score = find_score(p->run, task.task, metric);
      if (!score) continue;
      const ScoreRecord* by = reference(set, task, metric);
      if (by && relative_score(score->metric, score->value, by->value))
        terms.push_back(lower_is_better(score->metric)
                            ? ratio_term(raw_term(*by), raw_term(*score))
                            : ratio_term(raw_term(*score), raw_term(*by)));
      else
        left_out.insert(set + ": " + task.task);
    }
    if (!terms.empty()) row[set].push_back(std::move(terms));
  }
  return row;
}

RowScores TermSource::row_scores(const UsableRuns& runs, const std::string& metric) const {
  std::set<std::string> left_out;
  RowScores scores_of_row;
  scores_of_row.held_in = estimate(scores(runs, metric, true));
  scores_of_row.held_out = estimate(scores(runs, metric, false));
  scores_of_row.held_in.fraction = scores_of_row.held_out.fraction = is_fraction(metric);
  scores_of_row.held_in_normalised = estimate(normalised(runs, metric, true, left_out));
  scores_of_row.held_out_normalised = estimate(normalised(runs, metric, false, left_out));
  scores_of_row.not_normalised.assign(left_out.begin(), left_out.end());
  return scores_of_row;
}

std::vector<TaskScore> TermSource::task_scores(const std::vector<const Placed*>& placed,
                                               const std::string& metric) const {
  std::vector<TaskScore> all;
  for (const auto& [name, set] : sets_)
    for (const SetTask& task : set->tasks) {
      double sum = 0;
      int count = 0;
      for (const Placed* p : placed) {
        if (p->placement.set != name) continue;
        if (const ScoreRecord* score = find_score(p->run, task.task, metric)) {
          sum += score->value;
          ++count;
        }
      }
      if (count == 0) continue;
      TaskScore score{name, task.task, task.held_in, sum / count, {}};
      if (const ScoreRecord* by = reference(name, task, metric))
        score.normalised = relative_score(by->metric, score.value, by->value);
      if (metric == kRelativeScore) {
        if (!score.normalised) continue;
        score.value = *score.normalised;
      }
      all.push_back(std::move(score));
    }
  return all;
}

}  // namespace assay
