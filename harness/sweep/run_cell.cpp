#include <ATen/ATen.h>

#include <cmath>

#include "harness/checkpoint/checkpoint.h"
#include "harness/core/error.h"
#include "harness/cost/meter.h"
#include "harness/lm/language_predictor.h"
#include "harness/merge/merge.h"
#include "harness/model/ensemble.h"
#include "harness/model/open.h"
#include "harness/model/predictor.h"
#include "harness/sweep/cell.h"
#include "harness/sweep/device.h"
#include "harness/sweep/held_models.h"
#include "harness/task/task.h"

namespace assay {
namespace {

// Checkpoints stay mapped for the life of the process: the cells of a sweep share them.
std::shared_ptr<const Checkpoint> open_checked(const ModelRef& model) {
  static std::map<std::string, std::shared_ptr<const Checkpoint>> opened;
  auto& checkpoint = opened[model.path];
  if (checkpoint && checkpoint->content_hash() == model.hash) return checkpoint;
  checkpoint = Checkpoint::open(model.path);
  if (checkpoint->content_hash() != model.hash)
    data_error("{}: the weights changed since the sweep was planned", model.path);
  return checkpoint;
}

/// What this process keeps from cell to cell on one device. Cells run one after the other.
struct Workplace {
  explicit Workplace(at::Device device) : merged(device) {
    if (!device.is_cpu()) held.emplace(device);
  }
  std::shared_ptr<const TensorSource> input(const ModelRef& model) {
    const auto checkpoint = open_checked(model);
    return held ? held->hold(checkpoint) : checkpoint;
  }

  MemorySink merged;  ///< each cell's model, in the place of the last one's
  SharedWork shared;
  std::optional<HeldModels> held;  ///< on the CPU, checkpoints are mapped
};

Workplace& workplace(at::Device device) {
  // Never destroyed: at the end of the program a device's library may be gone before.
  static auto* places = new std::map<std::string, Workplace>;
  return places->try_emplace(device.str(), device).first->second;
}

std::shared_ptr<const Architecture> architecture_of(const ModelRef& model) {
  return make_architecture(JsonReader(open_checked(model)->config(), model.path + "/config.json"));
}

template <typename Kind>
std::shared_ptr<const Predictor> language_predictor(std::shared_ptr<const Kind> architecture,
                                                    const TensorSource& weights, const Cell& cell,
                                                    const std::string& folder,
                                                    const std::string& hash, at::Device device) {
  std::optional<at::ScalarType> dtype;
  if (!cell.dtype.empty()) dtype = dtype_from_name(cell.dtype, "a cell");
  StateDict loaded =
      load_weights(*architecture, weights, device, compute_dtype(dtype, device, weights));
  return std::make_shared<LanguagePredictor>(TextModel<Kind>{
      std::move(architecture), std::move(loaded), device, Tokenizer::open(folder), hash});
}

// `folder`: with the tokenizer. `hash`: of the weights. Null when this is no language model.
std::shared_ptr<const Predictor> language_predictor(const std::shared_ptr<const Architecture>& any,
                                                    const TensorSource& weights, const Cell& cell,
                                                    const std::string& folder,
                                                    const std::string& hash, at::Device device) {
  if (auto decoder = std::dynamic_pointer_cast<const LanguageArchitecture>(any))
    return language_predictor(std::move(decoder), weights, cell, folder, hash, device);
  if (auto both = std::dynamic_pointer_cast<const SequenceToSequenceArchitecture>(any))
    return language_predictor(std::move(both), weights, cell, folder, hash, device);
  return nullptr;
}

std::shared_ptr<const Predictor> load_predictor(const Cell& cell, const ModelRef& model,
                                                at::Device device) {
  const std::shared_ptr<const Architecture> architecture = architecture_of(model);
  const auto checkpoint = open_checked(model);
  if (auto language =
          language_predictor(architecture, *checkpoint, cell, model.path, model.hash, device))
    return language;
  return std::make_shared<ModelPredictor>(architecture,
                                          load_weights(*architecture, *checkpoint, device), device);
}

std::shared_ptr<const Predictor> merge_predictor(const Cell& cell, at::Device device,
                                                 RunRecord& record) {
  Workplace& place = workplace(device);
  MergeInputs inputs;
  if (!cell.base.path.empty()) inputs.base = place.input(cell.base);
  for (const ModelRef& expert : cell.experts) inputs.experts.push_back(place.input(expert));
  inputs.shared = &place.shared;
  inputs.seed = cell.seed;
  inputs.device = device;
  const std::shared_ptr<const Architecture> architecture = architecture_of(cell.experts.front());

  // The parameters are complete, so a preset has nothing to add.
  const auto method =
      make_method(parse_method_ref(cell.method).name, JsonReader(cell.parameters, "parameters"));
  const MergeReport report = merge_models(*method, inputs, place.merged);
  record.costs["statistics"] = report.statistics;
  record.costs["merge"] = report.merge;
  if (report.shared) record.costs[kSharedPhase] = *report.shared;
  record.diagnostics = report.diagnostics;
  const ModelRef& first = cell.experts.front();
  const MemorySource merged("the merged model", place.merged.tensors());
  if (auto language =
          language_predictor(architecture, merged, cell, first.path, cell.model_key(), device))
    return language;
  return std::make_shared<ModelPredictor>(architecture, place.merged.tensors(), device);
}

std::shared_ptr<const Predictor> make_predictor(const Cell& cell, at::Device device,
                                                RunRecord& record) {
  if (cell.kind == "merge") return merge_predictor(cell, device, record);
  std::vector<std::shared_ptr<const Predictor>> members;
  std::vector<AnyLanguageModel> writers;
  for (const ModelRef& expert : cell.experts) {
    members.push_back(load_predictor(cell, expert, device));
    if (const LanguagePredictor* language = as_language_model(*members.back()))
      writers.push_back(language->evaluator().model());
  }
  if (cell.kind == "ensemble" && writers.size() == members.size())
    return std::make_shared<LanguagePredictor>(ensemble_of(writers, cell.model_key()));
  if (cell.kind == "ensemble") return std::make_shared<EnsemblePredictor>(std::move(members));
  ASSAY_CHECK(cell.kind == "model" && members.size() == 1, "cell of kind {}", cell.kind);
  return members.front();
}

using Tasks = std::vector<std::shared_ptr<const Task>>;

Tasks load_checked(const Cell& cell) {
  Tasks tasks;
  for (const TaskRef& ref : cell.tasks) {
    tasks.push_back(load_task(ref.name));
    if (tasks.back()->hash() != ref.hash)
      data_error("task {}: its definition or data changed since the sweep was planned", ref.name);
  }
  return tasks;
}

/// The tasks' scores of one model. What they ask a language model about text is planned together.
class Evaluation {
 public:
  Evaluation(const Predictor& predictor, const Tasks& tasks, Split split)
      : predictor_(predictor), split_(split) {
    const LanguagePredictor* language = as_language_model(predictor);
    if (!language) return;
    std::vector<TextRequests> requests;
    for (const auto& task : tasks) requests.push_back(task->requests(split));
    std::vector<TextResponses> answers = language->evaluator().answer(requests);
    for (size_t i = 0; i < tasks.size(); ++i)
      if (!requests[i].empty()) answers_.emplace(tasks[i].get(), std::move(answers[i]));
  }

  std::vector<MetricResult> of(const Task& task) const {
    const auto answered = answers_.find(&task);
    return answered == answers_.end() ? task.evaluate(predictor_, split_)
                                      : task.evaluate_answers(answered->second, split_);
  }

 private:
  const Predictor& predictor_;
  Split split_;
  std::map<const Task*, TextResponses> answers_;
};

}  // namespace

RunRecord run_cell(const Cell& cell) {
  count_operator_flops();
  RunRecord record = empty_record(cell);
  try {
    const at::Device device = parse_device(cell.device);
    const auto predictor = make_predictor(cell, device, record);
    const Split split = split_from_name(cell.split, "a cell");
    Meter meter(device);
    const auto tasks = load_checked(cell);
    const Evaluation evaluation(*predictor, tasks, split);
    for (const auto& task : tasks) {
      bool primary = true;
      for (MetricResult& result : evaluation.of(*task)) {
        if (!std::isfinite(result.value))
          data_error("task {}: the score '{}' is {}", task->name(), result.metric, result.value);
        record.scores.push_back({task->name(), cell.split, result.metric, primary, result.value,
                                 std::move(result.outcomes)});
        primary = false;
      }
    }
    if (const LanguagePredictor* language = as_language_model(*predictor))
      record.diagnostics["language"] = language->evaluator().report();
    record.costs["evaluation"] = meter.stop();
  } catch (const SkipCell& e) {
    record.status = RunStatus::kSkipped;
    record.reason = e.what();
  } catch (const std::exception& e) {
    record.status = RunStatus::kFailed;
    record.reason = e.what();
  }
  if (record.status != RunStatus::kOk) record.scores.clear();
  return record;
}

}  // namespace assay
