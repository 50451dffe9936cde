/// A cell: one model to make and score. It is plain data, so that it can be sent to another process
/// or machine, and its key is a hash of everything that determines its scores.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/calibration/job.h"
#include "harness/checkpoint/checkpoint.h"
#include "harness/core/hash.h"
#include "harness/core/json.h"
#include "harness/method/configuration.h"
#include "harness/model/ensemble_rule.h"
#include "harness/sweep/device.h"
#include "harness/task/dataset.h"
#include "harness/task/task.h"
#include "results/records.h"

namespace assay {

/// A checkpoint as a cell names it.
struct ModelRef {
  std::string path;           ///< absolute, of the checkpoint folder
  std::string hash;           ///< content hash of the weights, the adapter's included
  std::string computation{};  ///< computation_hash(); empty without a config.json
  std::string adapter{};      ///< absolute, folder of a LoRA adapter on it; empty: none
  bool settled = false;       ///< has_settled_tensors()
  bool moments = false;       ///< it has running moments of BatchNorm layers
};

/// Errors as open_computation(), but for a config.json that is not there: cells that would need it
/// say so.
ModelRef model_ref(const Checkpoint& checkpoint);

struct TaskRef {
  std::string name;
  std::string hash;
  /// Of a cell with a model per task: the expert whose task model is scored on it; absent for the
  /// part that all share.
  std::optional<size_t> owner{};
  TaskChanges changes{};  ///< the hash is of the changed task
};

/// The data that a cell's method looks at.
struct CellCalibration {
  CalibrationSpec spec;
  std::vector<std::vector<TaskRef>> tasks;  ///< of every expert, by default its own
};

/// How a cell's model is made of its experts.
enum class CellKind {
  kMerge,
  kModel,     ///< the one expert alone: a base, an expert, a multitask model
  kEnsemble,  ///< their outputs together (EnsembleRule)
  kOwnExpert  ///< no one model: each task has its owner's (TaskRef::owner), or the base
};
/// "merge", "model", "ensemble" or "own expert": part of a cell's key and JSON form.
std::string cell_kind_name(CellKind kind);
/// UserError, naming the four, for another name.
CellKind cell_kind_from_name(const std::string& name);

struct Cell {
  CellKind kind = CellKind::kModel;
  RunKind record_kind = RunKind::kModel;  ///< of its record
  std::string method;                     ///< "NAME" or "NAME@PRESET", for merges
  Json parameters = Json::object();       ///< all of them, defaults included; {"rule"} of ensembles
  uint64_t seed = 0;                      ///< 0 unless the method is randomised
  ModelRef base;                          ///< empty path: none
  std::vector<ModelRef> experts;
  std::vector<TaskRef> tasks;
  Split split = Split::kTest;
  Devices devices{at::kCPU};  ///< at least one
  /// What language models compute in; absent: float32 on the CPU, as stored on accelerators.
  std::optional<at::ScalarType> dtype{};
  /// Of merges by methods that look at data; absent for all others.
  std::optional<CellCalibration> calibration{};

  std::string key() const;
  /// Of everything that determines the model that is scored, or that `owner`'s task model.
  std::string model_key(std::optional<size_t> owner = {}) const;
  /// Of an ensemble.
  EnsembleRule ensemble_rule() const;
  /// Short, for progress and messages: the method and the parameters that are not its defaults.
  std::string describe() const;
  /// The statistic that its method asks for, of one expert.
  StatisticJob statistic_job(const StatisticRef& statistic, size_t expert) const;
  /// All that the method lists, each once.
  std::vector<StatisticJob> statistic_jobs() const;

 private:
  void hash_model(Hasher& hasher) const;
  void hash_calibration(Hasher& hasher) const;
};

/// With names and texts for kinds, split, devices and dtype: "" for no dtype.
void to_json(Json& json, const Cell& cell);
/// Throws for what is no such form. Devices need not be available here.
void from_json(const Json& json, Cell& cell);

/// The method of a merge. The parameters are complete, so a preset has nothing to add.
MethodConfiguration configuration_of(const Cell& cell);

/// The part of a record that a worker sends back: status, reason, diagnostics, costs, scores.
Json result_to_json(const RunRecord& record);
/// Fills the record of `cell` from it.
RunRecord result_from_json(const Cell& cell, const Json& json);
/// A record for `cell` with its identity filled in and no result yet.
RunRecord empty_record(const Cell& cell);

}  // namespace assay
