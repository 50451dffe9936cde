/// A sweep's results as a leaderboard: plain values that every output format prints.
/// reports/README.md and statistics.h define the numbers.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "reports/internal/costs.h"
#include "reports/internal/primary_metrics.h"
#include "reports/internal/routing.h"
#include "reports/internal/statistics.h"
#include "results/model_size.h"
#include "results/plugin_uses.h"
#include "results/store.h"

namespace assay {

/// One metric of one row, averaged over tasks, seeds and sets. Of kRelativeScore the normalised
/// means are the same as the others.
struct RowScores {
  Estimate held_in, held_out;
  Estimate held_in_normalised;   ///< each task's relative_score() to its own expert, then the mean
  Estimate held_out_normalised;  ///< each task's relative_score() to the base, then the mean
  /// "SET: TASK" without a relative score; left out of the means above.
  std::vector<std::string> not_normalised;
};

/// One task in one expert set, averaged over seeds. Includes runs that failed on other tasks.
struct TaskScore {
  std::string set, task;
  bool held_in = false;
  double value = 0;
  std::optional<double> normalised;
};

/// A row's parameters in some of the sets.
struct Configuration {
  std::vector<std::string> sets;
  Json parameters;  ///< all of them
  Json notable;     ///< those that differ from the method's default or were tuned
  /// Tuned numbers at the minimum or maximum of their grid, unless the method's range ends there.
  std::vector<std::string> on_edge;
};

/// A paired comparison: a row minus another on the same items, by the primary metric.
struct Comparison {
  std::string against;  ///< LeaderboardRow::label()
  Estimate held_in, held_out;
};

struct LeaderboardRow {
  std::string name;     ///< "ties", "base", "expert-mnist-012"
  std::string variant;  ///< "reference", "default" or "tuned"
  RunKind kind = RunKind::kMerge;
  std::string method;  ///< registry name; empty for references
  std::string preset;
  /// A model per task, of a merge or the oracle expert: it is told which task it is asked about, so
  /// it is no single model and stands apart from those.
  bool needs_task_name = false;
  std::optional<int64_t> task_bytes;  ///< of such: what each task adds to the shared part, at most
  std::optional<ModelSize> size{};    ///< a mean over runs; absent of ensembles and old results
  RoutingSums routing{};              ///< of mixtures and routed ensembles

  /// Sets with a successful run, of those the row belongs to. A single expert belongs to the sets
  /// that contain it, every other row to all.
  int sets_used = 0, sets_total = 0;
  int runs_ok = 0, runs_total = 0;
  bool partial() const { return sets_used < sets_total || runs_ok < runs_total; }

  std::map<std::string, RowScores> scores;              ///< by metric
  std::map<std::string, std::vector<TaskScore>> tasks;  ///< by metric
  std::vector<Comparison> comparisons;  ///< of merges: with the best and with the baseline
  std::optional<Comparison> with_base;  ///< of merges
  std::map<std::string, std::map<std::string, RowScores>> by_set;  ///< metric, set; on demand
  RowCosts costs;
  /// What its runs were calibrated on, without the tasks: {"split", "examples", "seed", ...}; empty
  /// for rows that look at weights alone.
  std::vector<Json> calibrations{};
  std::vector<PluginUse> plugins{};           ///< what any of its runs used of plugins
  std::vector<Configuration> configurations;  ///< of merges
  std::vector<std::string> tuned_parameters;  ///< parameters that its grid varied
  int grid_points = 0;                        ///< configurations tried per set; tuned rows only
  std::string search;  ///< the algorithm that tuned it, as "cma_es"; empty: a grid, or not tuned

  bool is_merge() const { return kind == RunKind::kMerge; }
  /// One model for all tasks, made by a method: such rows are compared with each other.
  bool is_single_merge() const { return is_merge() && !needs_task_name; }
  bool is_single_expert() const;
  /// Whether it looked at the test split, whose scores it is then ranked by.
  bool is_transductive() const;
  /// "ties (tuned)"; for references the name alone.
  std::string label() const;
};

struct Leaderboard {
  std::vector<std::string> metrics;  ///< the primary one first: see metrics_in_order()
  std::map<std::string, std::string> task_metrics;  ///< primary_metrics()
  std::vector<std::string> sets;                    ///< expert sets, in the sweep's order
  std::vector<std::string> tasks;                   ///< in the sweep's order
  std::map<std::string, std::string> families;      ///< of the tasks; empty: none
  std::map<std::string, size_t> set_experts;        ///< how many a set has
  std::map<std::string, std::string> set_bases;     ///< their names in the sweep file
  /// Of a set's base, without one of its first expert; absent of old results.
  std::map<std::string, int64_t> set_parameters;
  /// Merges by descending held-in mean of the primary metric, those that need the task's name after
  /// the others; then references: multitask, ensemble, best expert, base, then the experts.
  std::vector<LeaderboardRow> rows;
  std::string best;  ///< label of the best single merge, for comparisons; empty without one
  const std::string& primary() const { return metrics.front(); }
  /// Whether held-in tasks' primary metrics are of different kinds, so that rows are ranked by
  /// kRelativeScore.
  bool has_mixed_kinds() const { return primary() == kRelativeScore; }
  /// The primary metric for sentences, with what it means where its name does not say it.
  std::string primary_text() const;
};

/// Options of a report.
struct ReportOptions {
  std::string baseline;  ///< label or name of the row to compare with; empty: the simple average
  bool per_set = false;  ///< also the scores in each expert set
};

/// The first placement of each run: a run may have several.
std::vector<const SweepResults::PlacedRun*> distinct_runs(const SweepResults& results);

/// UserError when no row, or more than one, matches the requested baseline.
Leaderboard make_leaderboard(const SweepResults& results, const ReportOptions& options = {});

}  // namespace assay
