/// The results store: one SQLite file (WAL, foreign keys, STRICT tables, schema version with
/// migrations). Only this folder speaks SQL. Any number of processes write and read: a write waits
/// for its turn.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "results/records.h"

namespace assay {

/// The results of one sweep, as reports need them.
struct SweepResults {
  SweepRecord sweep;
  std::string started_at, finished_at;  ///< UTC, ISO 8601; finished_at empty while incomplete
  std::vector<CheckpointRecord> checkpoints;
  std::vector<TaskRecord> tasks;
  std::vector<MethodRecord> methods;
  std::vector<StatisticRecord> statistics{};  ///< those that the runs used
  std::vector<Environment> environments;
  struct PlacedRun {
    Placement placement;
    RunRecord run;           ///< scores of variant "grid" have no outcomes
    size_t environment = 0;  ///< index into environments
  };
  std::vector<PlacedRun> runs;
  std::vector<SearchRecord> searches{};  ///< their runs have the variant "grid"
};

/// How an execution of a sweep ended.
enum class SweepEnd {
  kPart,       ///< only some of its rows were run
  kUnchanged,  ///< all results existed before
  kChanged,
};

class Store {
 public:
  /// Creates the file and its schema when there is none; migrates an older schema. DataError when
  /// the file is no Assay store, is damaged, is of a newer schema, or cannot be written.
  static Store open(const std::filesystem::path& path);
  /// DataError also when the file does not exist. The file system may be read-only; an older schema
  /// is read as it is, without the newer columns.
  static Store open_read_only(const std::filesystem::path& path);
  Store(Store&&) noexcept;
  ~Store();

  /// All put_ functions insert a record, or update the one with the same identity.
  void put_checkpoint(const CheckpointRecord& checkpoint);
  void put_task(const TaskRecord& task);
  void put_method(const MethodRecord& method);
  /// Its checkpoint must be stored before. A stored one of the same key is kept, with its cost.
  void put_statistic(const StatisticRecord& statistic);
  /// Returns the sweep's id: the existing one for a sweep of the same hash, whose times and
  /// placements are kept. Its checkpoints and tasks must be stored before.
  int64_t put_sweep(const SweepRecord& sweep);
  /// Call before running a sweep: deletes all its placements except these. A sweep that loses some
  /// is no longer finished, and an unfinished one starts now.
  void start_sweep(int64_t sweep, const std::vector<PlacedKey>& possible);
  /// Call while it runs, when fewer placements are possible: the same, but an unfinished sweep
  /// keeps its start time.
  void narrow_sweep(int64_t sweep, const std::vector<PlacedKey>& possible);
  /// Call after it was run: the same. A sweep with all its results is finished now or, when nothing
  /// is new, keeps its earlier time.
  void finish_sweep(int64_t sweep, const std::vector<PlacedKey>& places, SweepEnd end);

  /// The run with this key, without outcomes; absent when there is none.
  std::optional<RunRecord> find_run(const std::string& key) const;
  /// In one transaction: the run, its scores and costs. A skipped or failed run of the same key is
  /// replaced and keeps its placements. An `ok` one is kept, and false is returned: another process
  /// was faster. The checkpoints, tasks, the method and statistics must be stored before; scores
  /// refer to the versions of the tasks last put by this object.
  bool put_run(const RunRecord& run, const Environment& environment);
  /// Stores the placements of runs in a sweep. Idempotent.
  void place_runs(int64_t sweep, const std::vector<PlacedKey>& places);

  /// A search of a sweep as far as it got; one of the same set, row and seed is replaced. Its runs
  /// must be stored before. It is deleted with the placement of any of its runs.
  void put_search(int64_t sweep, const SearchRecord& search);

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
