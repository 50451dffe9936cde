#include "reports/internal/leaderboard.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "harness/core/metrics.h"
#include "reports/internal/comparisons.h"
#include "reports/internal/configurations.h"
#include "reports/internal/model_sizes.h"
#include "reports/internal/row_terms.h"

namespace assay {
namespace {

constexpr const char* kBestExpertRow = "best expert";

using Placed = SweepResults::PlacedRun;

int reference_rank(const LeaderboardRow& row) {
  if (row.needs_task_name) return 1;
  if (row.is_merge()) return 0;
  if (row.kind == RunKind::kMultitask) return 2;
  if (row.kind == RunKind::kEnsemble) return 3;
  if (row.kind == RunKind::kBase) return 5;
  return row.is_single_expert() ? 6 : 4;
}

// Whether a method makes a model per task: see output_name() of harness/method.
bool makes_model_per_task(const SweepResults& results, const std::string& method) {
  return std::any_of(
      results.methods.begin(), results.methods.end(), [&](const MethodRecord& known) {
        return known.name == method && known.needs.value("output", "") == "a model per task";
      });
}

void add_task_bytes(const std::vector<const Placed*>& placed, LeaderboardRow& row) {
  for (const Placed* p : placed)
    if (const auto bytes = p->run.diagnostics.find(kTaskBytes); bytes != p->run.diagnostics.end())
      row.task_bytes = std::max(row.task_bytes.value_or(0), bytes->get<int64_t>());
}

void add_plugins(const std::vector<const Placed*>& placed, LeaderboardRow& row) {
  std::set<PluginUse> uses;
  for (const Placed* p : placed)
    for (PluginUse& use : plugin_uses(p->run)) uses.insert(std::move(use));
  row.plugins.assign(uses.begin(), uses.end());
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
        !row.is_single_expert() || experts.empty() ||
        std::find(set.experts.begin(), set.experts.end(), experts.front()) != set.experts.end();
  }
}

void add_costs(const std::vector<const Placed*>& usable, const std::vector<const Placed*>& grid,
               const StatisticsByKey& statistics, LeaderboardRow& row) {
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
  row.costs = row_costs(runs, grid_by_set, statistics);
}

void add_calibrations(const std::vector<const Placed*>& placed, LeaderboardRow& row) {
  for (const Placed* p : placed) {
    if (p->run.calibration.is_null()) continue;
    Json calibration = p->run.calibration;
    calibration.erase("tasks");
    auto& known = row.calibrations;
    if (std::find(known.begin(), known.end(), calibration) == known.end())
      known.push_back(std::move(calibration));
  }
}

/// The set's base as the sweep file names it.
std::string base_of(const Json& sweep, const std::string& set) {
  for (const Json& entry : sweep.value("expert_sets", Json::array()))
    if (entry.value("name", "") == set && entry.contains("base"))
      return entry.at("base").get<std::string>();
  return sweep.value("base", "no base");
}

std::map<std::string, RowScores> scores_by_set(const TermSource& source, const UsableRuns& usable,
                                               const std::string& metric) {
  std::map<std::string, UsableRuns> of_set;
  for (const Placed* p : usable) of_set[p->placement.set].push_back(p);
  std::map<std::string, RowScores> scores;
  for (const auto& [set, runs] : of_set) scores[set] = source.row_scores(runs, metric);
  return scores;
}

void add_relative_flops(Leaderboard& board) {
  const auto flops_of = [](const LeaderboardRow& row) {
    return cost_value(row.costs.evaluation, "flops");
  };
  double sum = 0;
  int models = 0;
  for (const LeaderboardRow& row : board.rows)
    if (const auto flops = flops_of(row); row.is_single_expert() && flops) {
      sum += *flops;
      ++models;
    }
  if (sum == 0) return;
  for (LeaderboardRow& row : board.rows)
    if (const auto flops = flops_of(row)) row.costs.relative_flops = *flops * models / sum;
}

}  // namespace

bool LeaderboardRow::is_single_expert() const {
  return kind == RunKind::kExpert && name != kBestExpertRow;
}

bool LeaderboardRow::is_transductive() const {
  return std::any_of(calibrations.begin(), calibrations.end(),
                     [](const Json& c) { return c.value("split", "") == "test"; });
}

std::string LeaderboardRow::label() const {
  return variant == "reference" ? name : fmt::format("{} ({})", name, variant);
}

std::string Leaderboard::primary_text() const {
  return primary() + (has_mixed_kinds() ? " (multiples of the own expert's scores)" : "");
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
  board.task_metrics = primary_metrics(results);
  board.metrics = metrics_in_order(results, board.task_metrics);
  for (const ExpertSetRecord& set : results.sweep.sets) {
    board.sets.push_back(set.name);
    board.set_experts[set.name] = set.experts.size();
    board.set_bases[set.name] = base_of(results.sweep.config, set.name);
  }
  board.set_parameters = parameters_by_set(results);
  for (const TaskRecord& task : results.tasks) {
    board.tasks.push_back(task.name);
    board.families[task.name] =
        task.definition.is_object() ? task.definition.value("family", "") : "";
  }

  std::vector<std::pair<std::string, std::string>> order;
  std::map<std::pair<std::string, std::string>, std::vector<const Placed*>> placed;
  for (const Placed& p : results.runs) {
    const std::pair id(p.placement.row, p.placement.variant);
    if (placed[id].empty() && id.second != "grid") order.push_back(id);
    placed[id].push_back(&p);
  }

  const TermSource source(results);
  const StatisticsByKey statistics = statistics_by_key(results);
  std::map<std::string, std::string> names;  // of checkpoints, by hash
  for (const CheckpointRecord& checkpoint : results.checkpoints)
    names[checkpoint.hash] = checkpoint.name;
  std::map<std::string, UsableRuns> usable_runs;
  for (const auto& id : order) {
    const auto& of_row = placed.at(id);
    LeaderboardRow row;
    row.name = id.first;
    row.variant = id.second;
    row.kind = of_row.front()->run.kind;
    row.method = of_row.front()->run.method;
    row.preset = of_row.front()->run.preset;
    row.needs_task_name = row.kind == RunKind::kOracle || makes_model_per_task(results, row.method);
    add_task_bytes(of_row, row);
    row.size = mean_size(of_row);
    row.routing = sum_of_routing(of_row, names);
    add_plugins(of_row, row);
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
    add_costs(usable, grid, statistics, row);
    add_calibrations(of_row, row);
    row.tuned_parameters = tuned_parameters(grid);
    for (const SearchRecord& search : results.searches)
      if (row.variant == "tuned" && search.row == row.name) row.search = search.algorithm;
    if (row.is_merge()) add_configurations(results, of_row, grid, row);
    usable_runs[row.label()] = usable;
    board.rows.push_back(std::move(row));
  }

  add_relative_flops(board);
  const auto quality = [&](const LeaderboardRow& row) {
    const auto& value = row.scores.at(board.primary()).held_in.value;
    return value ? merit(board.primary(), *value) : -1e300;
  };
  std::stable_sort(board.rows.begin(), board.rows.end(),
                   [&](const LeaderboardRow& a, const LeaderboardRow& b) {
                     const int rank_a = reference_rank(a), rank_b = reference_rank(b);
                     if (rank_a != rank_b) return rank_a < rank_b;
                     return rank_a <= 1 && quality(a) > quality(b);
                   });
  add_comparisons(source, usable_runs, options.baseline, board);
  return board;
}

}  // namespace assay
