#include <ATen/ATen.h>

#include <cmath>

#include "harness/checkpoint/checkpoint.h"
#include "harness/core/error.h"
#include "harness/cost/meter.h"
#include "harness/lm/encoder_predictor.h"
#include "harness/lm/language_predictor.h"
#include "harness/merge/merge.h"
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

// `folder`: with the tokenizer. `hash`: of the weights. Null when this is no model of text.
std::shared_ptr<const Predictor> language_predictor(
    const std::shared_ptr<const Architecture>& architecture, const TensorSource& weights,
    const Cell& cell, const std::string& folder, const std::string& hash, at::Device device) {
  auto language = std::dynamic_pointer_cast<const LanguageArchitecture>(architecture);
  auto encoder = std::dynamic_pointer_cast<const EncoderArchitecture>(architecture);
  if (!language && !encoder) return nullptr;
  std::optional<at::ScalarType> dtype;
  if (!cell.dtype.empty()) dtype = dtype_from_name(cell.dtype, "a cell");
  StateDict loaded =
      load_weights(*architecture, weights, device, compute_dtype(dtype, device, weights));
  if (encoder)
    return std::make_shared<EncoderModelPredictor>(
        EncoderModel{std::move(encoder), std::move(loaded), device, Tokenizer::open(folder)});
  return std::make_shared<LanguagePredictor>(
      LanguageModel{std::move(language), std::move(loaded), device, Tokenizer::open(folder), hash});
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

std::shared_ptr<const Predictor> make_ensemble(
    std::vector<std::shared_ptr<const Predictor>> members) {
  std::vector<std::shared_ptr<const EncoderPredictor>> encoders;
  for (const auto& member : members)
    if (auto encoder = std::dynamic_pointer_cast<const EncoderPredictor>(member))
      encoders.push_back(std::move(encoder));
  if (encoders.size() == members.size())
    return std::make_shared<EncoderEnsemble>(std::move(encoders));
  return std::make_shared<EnsemblePredictor>(std::move(members));
}

std::shared_ptr<const Predictor> make_predictor(const Cell& cell, at::Device device,
                                                RunRecord& record) {
  if (cell.kind == "merge") return merge_predictor(cell, device, record);
  std::vector<std::shared_ptr<const Predictor>> members;
  for (const ModelRef& expert : cell.experts) {
    members.push_back(load_predictor(cell, expert, device));
    if (cell.kind == "ensemble" && as_language_model(*members.back()))
      throw SkipCell("the outputs of language models are not averaged");
  }
  if (cell.kind == "ensemble") return make_ensemble(std::move(members));
  ASSAY_CHECK(cell.kind == "model" && members.size() == 1, "cell of kind {}", cell.kind);
  return members.front();
}

using Tasks = std::vector<std::shared_ptr<const Task>>;

/// Why a task has no score.
struct TaskError {
  bool users;  ///< a UserError
  std::string text;
};

/// Does the work of one task, whose errors are no affair of the others.
template <typename Work>
std::optional<TaskError> task_error(Work&& work) {
  try {
    work();
    return std::nullopt;
  } catch (const UserError& e) {
    return TaskError{true, e.what()};
  } catch (const DataError& e) {
    return TaskError{false, e.what()};
  }
}

std::shared_ptr<const Task> load_checked(const TaskRef& ref) {
  std::shared_ptr<const Task> task = load_task(ref.name);
  if (task->hash() != ref.hash)
    data_error("task {}: its definition or data changed since the sweep was planned", ref.name);
  return task;
}

// The requests of all tasks in one plan; the tasks then find their answers there. A task that
// cannot be asked meets its error again when it is scored, and with it the others ask alone.
void ask_together(LanguageEvaluator& evaluator, const Tasks& tasks, Split split) {
  TextRequests requests;
  for (const auto& task : tasks) task_error([&] { requests.append(task->requests(split)); });
  task_error([&] { evaluator.answer(requests); });
}

std::vector<ScoreRecord> scores_of(const Task& task, const Predictor& predictor, Split split) {
  std::vector<ScoreRecord> scores;
  for (MetricResult& result : task.evaluate(predictor, split)) {
    if (!std::isfinite(result.value))
      data_error("task {}: the score '{}' is {}", task.name(), result.metric, result.value);
    scores.push_back({task.name(), split_name(split), result.metric, scores.empty(), result.value,
                      std::move(result.outcomes)});
  }
  return scores;
}

/// The cell's tasks one after the other, each with its scores in the record or an error here.
std::map<std::string, TaskError> score_tasks(const Cell& cell, const Predictor& predictor,
                                             RunRecord& record) {
  const Split split = split_from_name(cell.split, "a cell");
  std::map<std::string, TaskError> errors;
  const auto attempt = [&](const std::string& task, const auto& work) {
    if (auto error = task_error(work)) errors.emplace(task, std::move(*error));
  };
  Tasks tasks;
  for (const TaskRef& ref : cell.tasks)
    attempt(ref.name, [&] { tasks.push_back(load_checked(ref)); });
  const LanguagePredictor* language = as_language_model(predictor);
  if (language) ask_together(language->evaluator(), tasks, split);
  for (const auto& task : tasks)
    attempt(task->name(), [&] {
      for (ScoreRecord& score : scores_of(*task, predictor, split))
        record.scores.push_back(std::move(score));
    });
  if (language) record.diagnostics["language"] = language->evaluator().report();
  if (const EncoderPredictor* encoder = as_encoder(predictor))
    record.diagnostics["encoder"] = encoder->report();
  return errors;
}

/// Throws one error of the tasks' errors, of the first one's kind.
void raise(const std::map<std::string, TaskError>& errors, size_t tasks) {
  if (errors.empty()) return;
  std::string text = fmt::format("{} of {} tasks failed", errors.size(), tasks);
  for (const auto& [task, error] : errors) text += fmt::format("; {}: {}", task, error.text);
  if (errors.begin()->second.users) throw UserError(text);
  throw DataError(text);
}

}  // namespace

RunRecord run_cell(const Cell& cell, std::exception_ptr* error) {
  count_operator_flops();
  RunRecord record = empty_record(cell);
  bool scored = false;
  try {
    const at::Device device = parse_device(cell.device);
    const auto predictor = make_predictor(cell, device, record);
    Meter meter(device);
    const auto errors = score_tasks(cell, *predictor, record);
    record.costs["evaluation"] = meter.stop();
    scored = true;
    raise(errors, cell.tasks.size());
  } catch (const std::exception& e) {
    record.status = dynamic_cast<const SkipCell*>(&e) ? RunStatus::kSkipped : RunStatus::kFailed;
    record.reason = e.what();
    if (error) *error = std::current_exception();
  }
  if (!scored) record.scores.clear();
  return record;
}

}  // namespace assay
