#include "reports/internal/leaderboard.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "harness/core/error.h"
#include "harness/core/metrics.h"
#include "reports/internal/row_terms.h"

namespace assay {
namespace {

constexpr const char* kBestExpertRow = "best expert";
constexpr const char* kAverageMethod = "average";

using Placed = SweepResults::PlacedRun;

std::vector<std::string> metrics_in_order(const SweepResults& results) {
  std::vector<std::string> primary, others;
  // Whole runs first: one whose first tasks failed shall not decide which metric leads.
  for (const bool whole : {true, false})
    for (const Placed& placed : results.runs) {
      if ((placed.run.status == RunStatus::kOk) != whole) continue;
      for (const ScoreRecord& score : placed.run.scores) {
        auto& list = score.primary ? primary : others;
        if (std::find(list.begin(), list.end(), score.metric) == list.end())
          list.push_back(score.metric);
      }
    }
  for (const std::string& metric : others)
    if (std::find(primary.begin(), primary.end(), metric) == primary.end())
      primary.push_back(metric);
  if (primary.empty()) primary.emplace_back("score");  // nothing succeeded: tables without numbers
  return primary;
}

int reference_rank(const LeaderboardRow& row) {
  if (row.is_merge()) return 0;
  if (row.kind == RunKind::kMultitask) return 1;
  if (row.kind == RunKind::kEnsemble) return 2;
  if (row.kind == RunKind::kBase) return 4;
  return row.is_lone_expert() ? 5 : 3;
}

void count_runs(const SweepResults& results, const std::vector<const Placed*>& placed,
                const std::vector<const Placed*>& usable, LeaderboardRow& row) {
  std::set<std::string> used;
  for (const Placed* p : usable) used.insert(p->placement.set);
  row.sets_used = static_cast<int>(used.size());
  row.runs_ok = static_cast<int>(usable.size());
  row.runs_total = static_cast<int>(placed.size());
  for (const ExpertSetRecord& set : results.sweep.sets) {
    const auto& experts = placed.front()->run.experts;
    row.sets_total +=
        !row.is_lone_expert() || experts.empty() ||
        std::find(set.experts.begin(), set.experts.end(), experts.front()) != set.experts.end();
  }
}

// Values of a parameter over the runs of a grid.
std::vector<std::string> tuned_parameters(const std::vector<const Placed*>& grid) {
  std::map<std::string, std::set<std::string>> values;
  for (const Placed* placed : grid)
    for (const auto& [name, value] : placed->run.parameters.items())
      values[name].insert(canonical(value));
  std::vector<std::string> tuned;
  for (const auto& [name, seen] : values)
    if (seen.size() > 1) tuned.push_back(name);
  return tuned;
}

Json default_values(const SweepResults& results, const RunRecord& run) {
  Json defaults = Json::object();
  for (const MethodRecord& method : results.methods)
    if (method.name == run.method && method.version == run.method_version)
      for (const Json& parameter : method.parameters)
        defaults[parameter.value("name", "")] = parameter.value("default", Json());
  return defaults;
}

// The values that a method allows for a number; null at an end without a bound.
Json allowed_range(const SweepResults& results, const RunRecord& run, const std::string& name) {
  for (const MethodRecord& method : results.methods)
    if (method.name == run.method && method.version == run.method_version)
      for (const Json& parameter : method.parameters)
        if (parameter.value("name", "") == name) return parameter.value("range", Json());
  return {};
}

std::vector<std::string> choices_on_edge(const SweepResults& results, const RunRecord& chosen,
                                         const std::vector<const Placed*>& grid,
                                         const std::vector<std::string>& tuned) {
  std::vector<std::string> on_edge;
  for (const std::string& name : tuned) {
    const Json value = chosen.parameters.value(name, Json());
    if (!value.is_number()) continue;
    const auto choice = value.get<double>();
    double low = choice, high = choice;
    for (const Placed* placed : grid)
      if (const Json tried = placed->run.parameters.value(name, Json()); tried.is_number()) {
        low = std::min(low, tried.get<double>());
        high = std::max(high, tried.get<double>());
      }
    const Json range = allowed_range(results, chosen, name);
    const auto is_bound = [&](size_t end) {
      return range.is_array() && range.size() == 2 && range[end].is_number() &&
             range[end].get<double>() == choice;
    };
    if ((choice == low && !is_bound(0)) || (choice == high && !is_bound(1)))
      on_edge.push_back(name);
  }
  return on_edge;
}

void add_configurations(const SweepResults& results, const std::vector<const Placed*>& placed,
                        const std::vector<const Placed*>& grid, LeaderboardRow& row) {
  const auto& tuned = row.tuned_parameters;
  for (const Placed* p : placed) {
    const auto known =
        std::find_if(row.configurations.begin(), row.configurations.end(),
                     [&](const Configuration& c) { return c.parameters == p->run.parameters; });
    if (known != row.configurations.end()) {
      if (known->sets.back() != p->placement.set) known->sets.push_back(p->placement.set);
      continue;
    }
    Configuration configuration{{p->placement.set},
                                p->run.parameters,
                                Json::object(),
                                choices_on_edge(results, p->run, grid, tuned)};
    const Json defaults = default_values(results, p->run);
    for (const auto& [name, value] : p->run.parameters.items())
      if (std::find(tuned.begin(), tuned.end(), name) != tuned.end() || !defaults.contains(name) ||
          defaults[name] != value)
        configuration.notable[name] = value;
    row.configurations.push_back(std::move(configuration));
  }
}

void add_costs(const std::vector<const Placed*>& usable, const std::vector<const Placed*>& grid,
               LeaderboardRow& row) {
  std::vector<const RunRecord*> runs;
  runs.reserve(usable.size());
  for (const Placed* p : usable) runs.push_back(&p->run);
  std::map<std::string, std::vector<const RunRecord*>> by_set;
  std::map<std::string, std::set<std::string>> tried;
  for (const Placed* p : grid) {
    by_set[p->placement.set].push_back(&p->run);
    tried[p->placement.set].insert(canonical(p->run.parameters));
  }
  std::vector<std::vector<const RunRecord*>> grid_by_set;
  grid_by_set.reserve(by_set.size());
  for (auto& [set, of_set] : by_set) grid_by_set.push_back(std::move(of_set));
  for (const auto& [set, parameters] : tried)
    row.grid_points = std::max(row.grid_points, static_cast<int>(parameters.size()));
  row.costs = row_costs(runs, grid_by_set);
}

// The merge that later comparisons take as the best: complete rows first, then by held-in mean.
const LeaderboardRow* best_merge(const Leaderboard& board) {
  const LeaderboardRow* best = nullptr;
  for (const LeaderboardRow& row : board.rows)
    if (row.is_merge() && row.sets_used > 0 && (!best || (best->partial() && !row.partial())))
      best = &row;
  return best;
}

const LeaderboardRow* average_row(const Leaderboard& board) {
  for (const LeaderboardRow& row : board.rows)
    if (row.method == kAverageMethod && row.variant == "default" && row.sets_used > 0) return &row;
  return nullptr;
}

// The row of that label, or the only one of that name.
const LeaderboardRow* chosen_baseline(const Leaderboard& board, const std::string& baseline) {
  std::vector<const LeaderboardRow*> named;
  std::vector<std::string> labels, labels_of_named;
  for (const LeaderboardRow& row : board.rows) {
    if (row.label() == baseline) return &row;
    labels.push_back(row.label());
    if (row.name != baseline) continue;
    named.push_back(&row);
    labels_of_named.push_back(row.label());
  }
  if (named.size() == 1) return named.front();
  if (named.empty()) throw UserError(unknown_name("row", baseline, "--baseline", labels));
  user_error("--baseline: several rows are named '{}': {}", baseline,
             fmt::join(labels_of_named, ", "));
}

const LeaderboardRow* base_row(const Leaderboard& board) {
  for (const LeaderboardRow& row : board.rows)
    if (row.kind == RunKind::kBase && row.sets_used > 0) return &row;
  return nullptr;
}

void add_comparisons(const TermSource& source, const std::map<std::string, UsableRuns>& runs,
                     const std::string& chosen, Leaderboard& board) {
  const LeaderboardRow* best = best_merge(board);
  const LeaderboardRow* baseline =
      chosen.empty() ? average_row(board) : chosen_baseline(board, chosen);
  const LeaderboardRow* base = base_row(board);
  if (best) board.best = best->label();
  const auto compare = [&](const LeaderboardRow& row, const LeaderboardRow& against) {
    const auto gain = [&](bool held_in) {
      Estimate estimate =
          difference(source.scores(runs.at(row.label()), board.primary(), held_in),
                     source.scores(runs.at(against.label()), board.primary(), held_in));
      estimate.fraction = is_fraction(board.primary());
      return estimate;
    };
    return Comparison{against.label(), gain(true), gain(false)};
  };
  for (LeaderboardRow& row : board.rows) {
    if (!row.is_merge() || row.sets_used == 0) continue;
    for (const LeaderboardRow* against : {best, baseline == best ? nullptr : baseline})
      if (against && &row != against) row.comparisons.push_back(compare(row, *against));
    if (base) row.with_base = compare(row, *base);
  }
}

std::map<std::string, RowScores> scores_by_set(const TermSource& source, const UsableRuns& usable,
                                               const std::string& metric) {
  std::map<std::string, UsableRuns> of_set;
  for (const Placed* p : usable) of_set[p->placement.set].push_back(p);
  std::map<std::string, RowScores> scores;
  for (const auto& [set, runs] : of_set) scores[set] = source.row_scores(runs, metric);
  return scores;
}

}  // namespace

bool LeaderboardRow::is_lone_expert() const {
  return kind == RunKind::kExpert && name != kBestExpertRow;
}

std::string LeaderboardRow::label() const {
  return variant == "reference" ? name : fmt::format("{} ({})", name, variant);
}

std::vector<const SweepResults::PlacedRun*> distinct_runs(const SweepResults& results) {
  std::vector<const Placed*> distinct;
  std::set<std::string> seen;
  for (const Placed& placed : results.runs)
    if (seen.insert(placed.run.key).second) distinct.push_back(&placed);
  return distinct;
}

Leaderboard make_leaderboard(const SweepResults& results, const ReportOptions& options) {
  Leaderboard board;
  board.metrics = metrics_in_order(results);
  for (const ExpertSetRecord& set : results.sweep.sets) board.sets.push_back(set.name);
  for (const TaskRecord& task : results.tasks) board.tasks.push_back(task.name);

  std::vector<std::pair<std::string, std::string>> order;
  std::map<std::pair<std::string, std::string>, std::vector<const Placed*>> placed;
  for (const Placed& p : results.runs) {
    const std::pair id(p.placement.row, p.placement.variant);
    if (placed[id].empty() && id.second != "grid") order.push_back(id);
    placed[id].push_back(&p);
  }

  const TermSource source(results);
  std::map<std::string, UsableRuns> usable_runs;
  for (const auto& id : order) {
    const auto& of_row = placed.at(id);
    LeaderboardRow row;
    row.name = id.first;
    row.variant = id.second;
    row.kind = of_row.front()->run.kind;
    row.method = of_row.front()->run.method;
    row.preset = of_row.front()->run.preset;
    const UsableRuns usable = source.usable(of_row);
    count_runs(results, of_row, usable, row);
    for (const std::string& metric : board.metrics) {
      row.scores[metric] = source.row_scores(usable, metric);
      row.tasks[metric] = source.task_scores(of_row, metric);
      if (options.per_set) row.by_set[metric] = scores_by_set(source, usable, metric);
    }
    std::vector<const Placed*> grid;
    if (const auto it = placed.find({row.name, "grid"});
        row.variant == "tuned" && it != placed.end())
      grid = it->second;
    add_costs(usable, grid, row);
    row.tuned_parameters = tuned_parameters(grid);
    if (row.is_merge()) add_configurations(results, of_row, grid, row);
    usable_runs[row.label()] = usable;
    board.rows.push_back(std::move(row));
  }

  const auto quality = [&](const LeaderboardRow& row) {
    const auto& value = row.scores.at(board.primary()).held_in.value;
    return value ? merit(board.primary(), *value) : -1e300;
  };
  std::stable_sort(board.rows.begin(), board.rows.end(),
                   [&](const LeaderboardRow& a, const LeaderboardRow& b) {
                     const int rank_a = reference_rank(a), rank_b = reference_rank(b);
                     if (rank_a != rank_b) return rank_a < rank_b;
                     return a.is_merge() && quality(a) > quality(b);
                   });
  add_comparisons(source, usable_runs, options.baseline, board);
  return board;
}

}  // namespace assay
