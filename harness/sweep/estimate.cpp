#include "harness/sweep/estimate.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "harness/merge/preflight.h"
#include "harness/model/open.h"
#include "harness/sweep/internal/choosing.h"
#include "harness/sweep/run_statistic.h"

namespace assay {
namespace {

std::string needs_of(const Cell& cell) {
  if (cell.kind != CellKind::kMerge) return fmt::format("{} model(s)", cell.experts.size());
  const Needs needs = configuration_of(cell).needs();
  std::vector<std::string> parts;
  if (needs.base) parts.emplace_back("base");
  parts.push_back(fmt::format("{} experts", cell.experts.size()));
  if (needs.calibration_inputs) parts.emplace_back("calibration inputs");
  if (needs.calibration_labels) parts.emplace_back("labels");
  if (needs.gradients) parts.emplace_back("gradients");
  return fmt::format("{}", fmt::join(parts, ", "));
}

class Estimator {
 public:
  Estimator(const ResolvedSweep& sweep, const Store* store, int64_t memory_bytes)
      : store_(store), memory_bytes_(memory_bytes) {
    for (const auto& [name, model] : sweep.models) {
      if (!model.checkpoint) {
        estimate_.to_train.push_back(name);
        continue;
      }
      for (const TensorInfo& info : model.checkpoint->tensors())
        bytes_[model.checkpoint->content_hash()] += info.bytes();
      checkpoints_[model.checkpoint->content_hash()] = model.checkpoint.get();
    }
    estimate_.sweep = sweep.file.name;
  }

  // `count`: of cells, where the others are like the first of those given.
  void add(const Placement& placement, const std::vector<Cell>& cells, const std::string& unmet,
           int64_t count) {
    RowEstimate row{placement, 0, 0, needs_of(cells.front()), unmet, 0, 0};
    for (const Cell& cell : cells) {
      ++row.cells;
      if (!row.unmet.empty()) continue;
      if (!cell.base.path.empty()) row.bytes_read += bytes_[cell.base.hash];
      for (const ModelRef& expert : cell.experts) row.bytes_read += bytes_[expert.hash];
      row.items += items(cell);
      if (!note_stored(cell, row))
        for (const StatisticJob& job : cell.statistic_jobs()) note_statistic(job);
    }
    if (row.cells > 0) {
      row.bytes_read = row.bytes_read / row.cells * count;
      row.items = row.items / row.cells * count;
      row.cells = count;
    }
    estimate_.rows.push_back(std::move(row));
  }

  SweepEstimate result() {
    int64_t missing = 0;
    for (const RowEstimate& row : estimate_.rows)
      if (row.unmet.empty()) missing += row.cells - row.stored;
    if (known_cells_ > 0)
      estimate_.seconds =
          known_seconds_ / static_cast<double>(known_cells_) * static_cast<double>(missing);
    return std::move(estimate_);
  }

 private:
  // Sizes need the decoded data, which training would fetch; they are left at zero before that.
  int64_t items(const Cell& cell) {
    if (!estimate_.to_train.empty()) return 0;
    int64_t count = 0;
    for (const TaskRef& task : cell.tasks)
      count += load_task(task.name, "a cell", task.changes)->size(cell.split);
    return cell.kind == CellKind::kEnsemble ? count * static_cast<int64_t>(cell.experts.size())
                                            : count;
  }

  void note_statistic(const StatisticJob& job) {
    if (!statistics_.insert(job.key()).second) return;
    ++estimate_.statistics;
    if (open_statistic(job)) {
      ++estimate_.stored_statistics;
      return;
    }
    const auto model = checkpoints_.find(job.model.hash);
    if (model == checkpoints_.end()) return;
    const StatisticPasses passes = passes_of(job, *architecture_of(*model->second), memory_bytes_);
    estimate_.statistic_bytes = std::max(estimate_.statistic_bytes, passes.bytes);
    estimate_.statistic_passes =
        std::max<int64_t>(estimate_.statistic_passes, std::ssize(passes.layers));
  }

  // False when there is no result.
  bool note_stored(const Cell& cell, RowEstimate& row) {
    const auto run = store_ ? store_->find_run(cell.key()) : std::nullopt;
    if (!run || run->status != RunStatus::kOk) return false;
    ++row.stored;
    ++known_cells_;
    for (const auto& [phase, cost] : run->costs)
      if (phase != kSharedPhase) known_seconds_ += cost.wall_s.value_or(0);
    return true;
  }

  const Store* store_;
  int64_t memory_bytes_;
  SweepEstimate estimate_;
  std::map<std::string, int64_t> bytes_;
  std::map<std::string, const Checkpoint*> checkpoints_;  ///< by content hash
  std::set<std::string> statistics_;                      ///< keys
  int64_t known_cells_ = 0;
  double known_seconds_ = 0;
};

}  // namespace

SweepEstimate estimate_sweep(const ResolvedSweep& sweep, const Plan& plan, const Store* store,
                             int64_t memory_bytes) {
  Estimator estimator(sweep, store, memory_bytes);
  for (const PlannedCell& planned : plan.fixed)
    estimator.add(planned.placement, {planned.cell}, planned.unmet.value_or(""), 1);
  for (const Choice& choice : plan.choices) {
    std::vector<Cell> cells;
    for (const PlannedCell& planned : Choosing::replay(choice, store).candidates())
      cells.push_back(planned.cell);
    if (cells.empty()) continue;  // of a search whose candidates cannot be merged
    estimator.add({choice.placement.set, choice.placement.row, choice.spec ? "search" : "grid"},
                  cells, "", choice.budget);
  }
  return estimator.result();
}

int64_t merges_with_base(const Plan& plan, const Store& store) {
  std::set<std::string> missing;
  const auto is_missing = [&](const Cell& cell) {
    if (cell.kind != CellKind::kMerge || cell.base.hash.empty()) return false;
    const auto run = store.find_run(cell.key());
    return !run || run->status != RunStatus::kOk;
  };
  for (const PlannedCell& planned : plan.fixed)
    if (!planned.unmet && is_missing(planned.cell)) missing.insert(planned.cell.key());
  int64_t open = 0;
  for (const Choice& choice : plan.choices) {
    const Choosing choosing = Choosing::replay(choice, &store);
    const std::vector<PlannedCell> candidates = choosing.candidates();
    for (const PlannedCell& planned : candidates)
      if (is_missing(planned.cell)) missing.insert(planned.cell.key());
    const bool scored = std::none_of(candidates.begin(), candidates.end(),
                                     [&](const auto& planned) { return is_missing(planned.cell); });
    if (const auto winner = choosing.winner(); scored && winner) {
      if (is_missing(winner->cell)) missing.insert(winner->cell.key());
      continue;
    }
    const std::vector<Cell> test_cells = choosing.test_cells();
    const int64_t unknown = choice.budget - static_cast<int64_t>(candidates.size());
    if (unknown > 0 && !candidates.empty() && !candidates.front().cell.base.hash.empty())
      open += unknown + 1;
    else if (std::any_of(test_cells.begin(), test_cells.end(), is_missing))
      ++open;
  }
  return static_cast<int64_t>(missing.size()) + open;
}

std::string estimate_text(const SweepEstimate& estimate) {
  std::string text = fmt::format("{:14} {:24} {:10} {:>6} {:>7} {:>10} {:>9}  {}\n", "set", "row",
                                 "variant", "cells", "stored", "read", "items", "needs");
  int64_t cells = 0, stored = 0;
  for (const RowEstimate& row : estimate.rows) {
    cells += row.cells;
    stored += row.stored;
    text += fmt::format("{:14} {:24} {:10} {:>6} {:>7} {:>7.1f} MB {:>9}  {}\n", row.placement.set,
                        row.placement.row, row.placement.variant, row.cells, row.stored,
                        static_cast<double>(row.bytes_read) / 1e6, row.items,
                        row.unmet.empty() ? row.needs : "will be skipped: " + row.unmet);
  }
  if (estimate.statistics > 0)
    text +=
        fmt::format("{} statistics of the experts' data to compute, {} are there\n",
                    estimate.statistics - estimate.stored_statistics, estimate.stored_statistics);
  if (estimate.statistic_passes > 0)
    text += fmt::format("  a statistic takes {} besides its model, in {} pass(es), at most\n",
                        bytes_text(estimate.statistic_bytes), estimate.statistic_passes);
  if (!estimate.to_train.empty())
    text += fmt::format("to be trained first: {}\n", fmt::join(estimate.to_train, ", "));
  text += fmt::format("{} cells, {} of them stored; one more test run for every grid and search\n",
                      cells, stored);
  text += estimate.seconds
              ? fmt::format("about {:.0f} s of work left, by the mean of the stored results\n",
                            *estimate.seconds)
              : std::string("no time estimate: no result of this sweep is stored yet\n");
  return text;
}

Json estimate_to_json(const SweepEstimate& estimate) {
  Json rows = Json::array();
  for (const RowEstimate& row : estimate.rows)
    rows.push_back({{"set", row.placement.set},
                    {"row", row.placement.row},
                    {"variant", row.placement.variant},
                    {"cells", row.cells},
                    {"stored", row.stored},
                    {"needs", row.needs},
                    {"skipped", row.unmet.empty() ? Json(nullptr) : Json(row.unmet)},
                    {"bytes_read", row.bytes_read},
                    {"items", row.items}});
  return {{"sweep", estimate.sweep},
          {"rows", rows},
          {"statistics",
           {{"to_compute", estimate.statistics - estimate.stored_statistics},
            {"there", estimate.stored_statistics},
            {"bytes", estimate.statistic_bytes},
            {"passes", estimate.statistic_passes}}},
          {"to_train", estimate.to_train},
          {"seconds", estimate.seconds ? Json(*estimate.seconds) : Json(nullptr)}};
}

}  // namespace assay
