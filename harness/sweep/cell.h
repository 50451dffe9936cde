/// A cell: one model to make and score. It is plain data, so that it can be sent to another process
/// or machine, and its key is a hash of everything that determines its scores.
#pragma once

#include <exception>
#include <functional>
#include <string>
#include <vector>

#include "harness/checkpoint/checkpoint.h"
#include "harness/core/hash.h"
#include "harness/core/json.h"
#include "results/records.h"

namespace assay {

class Task;
struct TextResponses;

/// A checkpoint as a cell names it.
struct ModelRef {
  std::string path;           ///< absolute, of the checkpoint folder
  std::string hash;           ///< content hash of the weights, the adapter's included
  std::string computation{};  ///< computation_hash(); empty without a config.json
  std::string adapter{};      ///< absolute, folder of a LoRA adapter on it; empty: none
  bool settled = false;       ///< has_settled_tensors()
};

/// Errors as open_computation(), but for a config.json that is not there: cells that would need it
/// say so.
ModelRef model_ref(const Checkpoint& checkpoint);

struct TaskRef {
  std::string name;
  std::string hash;
};

struct Cell {
  /// "merge"; "model": the one expert alone (a base, an expert, a multitask model); "ensemble": the
  /// mean of the experts' logits, or of language models as in harness/model/ensemble.h.
  std::string kind;
  std::string record_kind;  ///< RunRecord::kind: "merge", "base", "expert", "multitask", "ensemble"
  std::string method;       ///< "NAME" or "NAME@PRESET", for merges
  Json parameters = Json::object();  ///< all of them, defaults included
  uint64_t seed = 0;                 ///< 0 unless the method is randomised
  ModelRef base;                     ///< empty path: none
  std::vector<ModelRef> experts;
  std::vector<TaskRef> tasks;
  std::string split;   ///< "validation" or "test"
  std::string device;  ///< "cpu", "cuda:0", "cuda:0,cuda:1": see parse_devices()
  /// What language models compute in: "float32", ... or empty, which is float32 on the CPU and as
  /// stored on accelerators.
  std::string dtype{};

  std::string key() const;
  /// Of everything that determines the model that is scored.
  std::string model_key() const;
  /// Short, for progress and messages: the method and the parameters that are not its defaults.
  std::string describe() const;

 private:
  void hash_model(Hasher& hasher) const;
};

void to_json(Json& json, const Cell& cell);
void from_json(const Json& json, Cell& cell);

/// Makes the model and scores it. Never throws for a cell's own troubles: the record's status and
/// reason say what happened. A task that cannot be scored makes the cell a
/// failed one whose record keeps the scores of the other tasks. `error`, where given, becomes the
/// exception behind a status that is not ok.
/// `observer`, where given, sees what a language model answered each task.
using AnswerObserver = std::function<void(const Task& task, const TextResponses& answers)>;
RunRecord run_cell(const Cell& cell, std::exception_ptr* error = nullptr,
                   const AnswerObserver& observer = {});

/// The part of a record that a worker sends back: status, reason, diagnostics, costs, scores.
Json result_to_json(const RunRecord& record);
/// Fills the record of `cell` from it.
RunRecord result_from_json(const Cell& cell, const Json& json);
/// A record for `cell` with its identity filled in and no result yet.
RunRecord empty_record(const Cell& cell);

}  // namespace assay
