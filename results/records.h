/// The records of the store, as plain values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/core/cost.h"
#include "harness/core/json.h"

namespace assay {

/// The environment of a run: machine and software.
struct Environment {
  std::string git_revision;  ///< "-dirty" appended when the tree had changes; empty when unknown
  std::string compiler, libtorch, device, cpu, host_os, command_line;
  int threads = 0;
};

struct CheckpointRecord {
  std::string hash;  ///< content hash of the weights
  std::string name, path;
  std::string role;  ///< "base", "expert" or "multitask"
  Json origin;       ///< its assay.json (recipe, tasks trained on, training cost), or null
};

struct TaskRecord {
  std::string name, hash;
  Json definition;
  int64_t validation_items = 0, test_items = 0;
};

/// A method's description when its runs were made.
struct MethodRecord {
  std::string name;
  int version = 0;
  std::string paper, summary;
  Json needs;       ///< {"base": true, "min_experts": 2, ..., "output": "same architecture"}
  Json parameters;  ///< [{"name", "type", "default", "range", "choices", "help"}, ...]
};

/// A statistic of one expert on its own data. It is computed once and its cost is charged in full
/// to every method that uses it.
struct StatisticRecord {
  std::string key;  ///< hash of everything that determines its values; unique in the store
  std::string name;
  int version = 0;
  Json parameters = Json::object();
  std::string checkpoint;  ///< hash of the expert
  Json data;               ///< {"split", "examples", "seed", ..., "tasks": [{"name", "hash"}, ...]}
  int64_t bytes = 0;       ///< what is shipped of it in place of the data
  Cost cost;
};

struct ScoreRecord {
  std::string task;    ///< TaskRecord::name
  std::string split;   ///< "validation" or "test"
  std::string metric;  ///< "acc", "acc_own", ...
  bool primary = false;
  double value = 0;
  std::vector<double> outcomes;  ///< per item, in the task's fixed order
};

enum class RunStatus { kOk, kSkipped, kFailed };
/// "ok", "skipped" or "failed": as stored, sent and reported.
std::string run_status_name(RunStatus status);
/// DataError for another name.
RunStatus run_status_from_name(const std::string& name);

/// What a run's model is.
enum class RunKind {
  kMerge,
  kBase,
  kExpert,
  kMultitask,
  kEnsemble,
  kOracle,  ///< each task's own expert
  kModel    ///< any model, scored outside a sweep; not stored
};
/// "merge", "base", "expert", "multitask", "ensemble", "oracle" or "model": as stored and reported.
std::string run_kind_name(RunKind kind);
/// DataError for another name.
RunKind run_kind_from_name(const std::string& name);

/// The phase of RunRecord::costs for cached values that another run computed: their cost there. A
/// method's own cost includes it, time spent does not.
inline constexpr const char* kSharedPhase = "shared";

/// The key in RunRecord::diagnostics of the bytes that a task model takes beyond the shared part,
/// of a row with a model per task.
inline constexpr const char* kTaskBytes = "task_bytes";

/// One evaluated model: a merge with given parameters, or a reference model.
struct RunRecord {
  std::string key;  ///< hash of everything that determines the scores; unique in the store
  RunKind kind = RunKind::kMerge;
  std::string split;   ///< the split it is scored on: "validation" or "test"
  std::string method;  ///< for merges: registry name; else empty
  std::string preset;
  int method_version = 0;
  Json parameters = Json::object();
  uint64_t seed = 0;
  std::string base;                  ///< checkpoint hash, or empty
  std::vector<std::string> experts;  ///< checkpoint hashes, in merge order
  RunStatus status = RunStatus::kOk;
  std::string reason;  ///< of a skip or a failure; names the failed tasks when others succeeded
  Json diagnostics = Json::object();
  /// By phase: "statistics", "merge", "evaluation", as measured, and kSharedPhase.
  std::map<std::string, Cost> costs;
  std::vector<ScoreRecord> scores;  ///< of a failed run: those of the tasks that did not fail
  /// Of a method that looks at data: {"split", "examples", "seed", ..., "tasks": [[{"name",
  /// "hash"}, ...] of every expert]}; null for all others.
  Json calibration{};
  std::vector<std::string> statistics{};  ///< keys of those that the method used, sorted
};

/// A task in an expert set: held-in when an expert of the set was trained on it.
struct SetTask {
  std::string task;
  bool held_in = false;
  std::string own_expert;  ///< checkpoint hash of the expert trained on it; empty when held out
};

struct ExpertSetRecord {
  std::string name;                  ///< a replicate of the sweep
  std::vector<std::string> experts;  ///< checkpoint hashes
  std::vector<SetTask> tasks;
};

/// A name in a sweep, and the file or folder that it resolved to.
struct FoundName {
  std::string what;  ///< "sweep file", "recipe", "suite", "data set" or "data"
  std::string name;  ///< as it was given
  std::string path;  ///< absolute, links followed; UTF-8
};

struct SweepRecord {
  std::string name;
  Json config;       ///< the sweep file as read
  std::string hash;  ///< of name and config: equal sweeps are one record
  std::vector<ExpertSetRecord> sets;
  std::vector<FoundName> found{};  ///< when it was last run; empty of earlier versions
};

/// The placement of a run in a sweep: its set and leaderboard row.
struct Placement {
  std::string set;  ///< ExpertSetRecord::name
  std::string row;  ///< leaderboard row: "ties", "base", "expert-mnist-012", ...
  std::string
      variant;  ///< "reference", "default", "tuned", or "grid" (a validation run of the grid)
};

/// A search for the parameters of a row: which candidates it scored, in order.
struct SearchRecord {
  std::string set, row;
  uint64_t seed = 0;  ///< of its runs
  std::string algorithm;
  int64_t budget = 0;  ///< the most candidates
  uint64_t search_seed = 0;
  struct Step {
    std::string key;  ///< of its run; empty: parameters that could not be merged
    /// The mean primary score, more is better; absent where the run has no result.
    std::optional<double> merit{};
  };
  std::vector<Step> steps{};
};

/// A run, by its key, with a placement.
struct PlacedKey {
  std::string key;
  Placement placement;
};

}  // namespace assay
