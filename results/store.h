/// The results store: one SQLite file (WAL, foreign keys, STRICT tables, schema version with
/// migrations). Only this folder speaks SQL. One process writes; any number read.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "results/records.h"

namespace assay {

/// All that a report needs of one sweep, in memory.
struct SweepResults {
  SweepRecord sweep;
  std::string started_at, finished_at;  ///< UTC, ISO 8601; finished_at empty while incomplete
  std::vector<CheckpointRecord> checkpoints;
  std::vector<TaskRecord> tasks;
  std::vector<MethodRecord> methods;
  std::vector<Environment> environments;
  struct PlacedRun {
    Placement placement;
    RunRecord run;           ///< the scores of variant "grid" come without outcomes
    size_t environment = 0;  ///< index into environments
  };
  std::vector<PlacedRun> runs;
};

class Store {
 public:
  /// Creates the file and its schema when there is none; migrates an older schema. DataError when
  /// the file is no Assay store, is of a newer schema, or cannot be written.
  static Store open(const std::filesystem::path& path);
  /// DataError also when the file does not exist.
  static Store open_read_only(const std::filesystem::path& path);
  Store(Store&&) noexcept;
  ~Store();

  /// All put_ functions insert, or update what is known under the same identity.
  void put_checkpoint(const CheckpointRecord& checkpoint);
  void put_task(const TaskRecord& task);
  void put_method(const MethodRecord& method);
  /// Returns the sweep's id: the old one for a sweep of the same hash. Its checkpoints and tasks
  /// must be known.
  int64_t put_sweep(const SweepRecord& sweep);
  void finish_sweep(int64_t sweep);

  /// The run with this key, outcomes left out; absent when there is none.
  std::optional<RunRecord> find_run(const std::string& key) const;
  /// In one transaction: the run, its scores and costs. A skipped or failed run of the same key is
  /// replaced and keeps its placements; DataError when an `ok` one is there, which another process
  /// must have put. The checkpoints, tasks and the method must be known.
  void put_run(const RunRecord& run, const Environment& environment);
  /// Gives a run its place in a sweep; again with the same place is no change.
  void place_run(int64_t sweep, const std::string& run_key, const Placement& placement);
  /// Forgets the sweep's placements, which a new execution is about to write anew.
  void clear_placements(int64_t sweep);

  /// Sweep names, most recently started first.
  std::vector<std::string> sweep_names() const;
  /// The most recent sweep of that name, or of all when `name` is empty. DataError when there is
  /// none; UserError with the nearest name.
  SweepResults load_sweep(const std::string& name) const;

 private:
  struct Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace assay
