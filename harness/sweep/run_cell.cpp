#include "harness/sweep/run_cell.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "harness/checkpoint/mapped_file.h"
#include "harness/core/error.h"
#include "harness/core/paths.h"
#include "harness/cost/meter.h"
#include "harness/lm/encoder_predictor.h"
#include "harness/lm/language_predictor.h"
#include "harness/sweep/internal/cell_predictor.h"
#include "harness/sweep/internal/routing_counts.h"
#include "harness/sweep/internal/used_plugins.h"
#include "harness/tokenizer/utf8.h"

namespace assay {
namespace {

using Tasks = std::vector<std::shared_ptr<const Task>>;

/// Of what is thrown and no std::exception, as a plugin may do.
constexpr const char* kUnknownError = "something was thrown that is no std::exception";

/// Why a task has no score.
struct TaskError {
  bool users;  ///< a UserError
  std::string text;
};

/// Does the work of one task. Its errors do not affect the others.
template <typename Work>
std::optional<TaskError> task_error(Work&& work) {
  try {
    work();
    return std::nullopt;
  } catch (const UserError& e) {
    return TaskError{true, e.what()};
  } catch (const std::exception& e) {  // a device out of memory, too
    return TaskError{false, e.what()};
  } catch (...) {
    return TaskError{false, kUnknownError};
  }
}

/// What a language model answered the tasks that ask it.
using Answers = std::map<const Task*, TextResponses>;

// The requests of all tasks in one plan. A task that cannot be asked meets its error again when it
// is scored; when the plan fails, because of one of them, each asks alone.
// `keep_all`: also then all answers are handed back.
Answers ask_together(LanguageEvaluator& evaluator, const Tasks& tasks, Split split, bool keep_all) {
  std::vector<const Task*> asking;
  std::vector<TextRequests> requests;
  for (const auto& task : tasks)
    task_error([&] {
      TextRequests of_task = task->requests(split);
      if (of_task.empty()) return;
      asking.push_back(task.get());
      requests.push_back(std::move(of_task));
    });
  Answers answers;
  task_error([&] {
    std::vector<TextResponses> given = evaluator.answer(requests);
    for (size_t i = 0; i < asking.size(); ++i) answers.emplace(asking[i], std::move(given[i]));
  });
  for (size_t i = 0; keep_all && answers.size() < asking.size() && i < asking.size(); ++i)
    if (!answers.contains(asking[i]))
      task_error([&] { answers.emplace(asking[i], evaluator.answer(requests[i])); });
  return answers;
}

// Task by task, where routers decide about tokens or sequences: of a pass over texts of several
// tasks nobody knows whose an expert or a member gets.
Answers ask_apart(LanguageEvaluator& evaluator, const Tasks& tasks, Split split, bool keep_all,
                  RunRecord& record) {
  Answers answers;
  for (const auto& task : tasks) {
    RoutingCounts counts(evaluator.model());
    answers.merge(ask_together(evaluator, {task}, split, keep_all));
    if (answers.contains(task.get()) && !counts.decisions.empty())
      record.diagnostics[kRouting][task->name()] = counts.decisions;
  }
  return answers;
}

std::vector<ScoreRecord> scores_of(const Task& task, const Predictor& predictor,
                                   const Answers& answers, Split split) {
  const auto answered = answers.find(&task);
  std::vector<ScoreRecord> scores;
  for (MetricResult& result : answered == answers.end()
                                  ? task.evaluate(predictor, split)
                                  : task.evaluate_answers(answered->second, split)) {
    if (!std::isfinite(result.value))
      data_error("task {}: the score '{}' is {}", task.name(), result.metric, result.value);
    for (size_t i = 0; i < result.outcomes.size(); ++i)
      if (!std::isfinite(result.outcomes[i]))
        data_error("task {}: the score '{}' of item {} is {}", task.name(), result.metric, i,
                   result.outcomes[i]);
    scores.push_back({task.name(), split_name(split), result.metric, scores.empty(), result.value,
                      std::move(result.outcomes)});
  }
  return scores;
}

/// Adds the counts of one model's report to those of the cell's other models.
void add_report(const Json& report, Json& sum) {
  if (sum.is_null()) sum = Json::object();
  for (const auto& [key, value] : report.items()) {
    const bool counts = value.is_number_integer() && key != "max_length" && sum.contains(key);
    sum[key] = counts ? Json(sum[key].get<int64_t>() + value.get<int64_t>()) : value;
  }
}

/// The tasks one after the other, each with its scores in the record or an error here. `routed`:
/// whether has_routers().
std::map<std::string, TaskError> score_tasks(const std::vector<TaskRef>& refs, Split split,
                                             const Predictor& predictor, bool routed,
                                             RunRecord& record, const AnswerObserver& observer) {
  std::map<std::string, TaskError> errors;
  const auto attempt = [&](const std::string& task, const auto& work) {
    if (auto error = task_error(work)) errors.emplace(task, std::move(*error));
  };
  Tasks tasks;
  for (const TaskRef& ref : refs)
    attempt(ref.name, [&] {
      tasks.push_back(ExecutionContext::task(ref));
      note_plugins(*tasks.back(), record);
    });
  const LanguagePredictor* language = as_language_model(predictor);
  Answers answers;
  if (language) {
    LanguageEvaluator& evaluator = language->evaluator();
    answers = routed ? ask_apart(evaluator, tasks, split, observer != nullptr, record)
                     : ask_together(evaluator, tasks, split, observer != nullptr);
  }
  if (observer)
    for (const auto& [task, given] : answers) observer(*task, given);
  for (const auto& task : tasks)
    attempt(task->name(), [&] {
      for (ScoreRecord& score : scores_of(*task, predictor, answers, split))
        record.scores.push_back(std::move(score));
    });
  if (language) add_report(language->evaluator().report(), record.diagnostics["language"]);
  if (const EncoderPredictor* encoder = as_encoder(predictor))
    add_report(encoder->report(), record.diagnostics["encoder"]);
  return errors;
}

/// The cell's tasks by the model that they are scored with (TaskRef::owner): most methods make one
/// for all.
std::map<std::optional<size_t>, std::vector<TaskRef>> tasks_by_model(const Cell& cell) {
  std::map<std::optional<size_t>, std::vector<TaskRef>> tasks;
  for (const TaskRef& task : cell.tasks) tasks[task.owner].push_back(task);
  if (tasks.empty()) tasks[std::nullopt];  // the model is made all the same
  return tasks;
}

/// Puts the scores in the order of the cell's tasks.
void sort_scores(const Cell& cell, std::vector<ScoreRecord>& scores) {
  std::map<std::string, size_t> place;
  for (const TaskRef& task : cell.tasks) place.emplace(task.name, place.size());
  std::stable_sort(scores.begin(), scores.end(), [&](const ScoreRecord& a, const ScoreRecord& b) {
    return place.at(a.task) < place.at(b.task);
  });
}

/// Throws one error of the tasks' errors, of the first one's kind.
void raise(const std::map<std::string, TaskError>& errors, size_t tasks) {
  if (errors.empty()) return;
  std::string text = fmt::format("{} of {} tasks failed", errors.size(), tasks);
  for (const auto& [task, error] : errors) text += fmt::format("; {}: {}", task, error.text);
  if (errors.begin()->second.users) throw UserError(text);
  throw DataError(text);
}

std::vector<fs::path> model_paths(const Cell& cell) {
  std::vector<fs::path> paths;
  std::vector<ModelRef> models = cell.experts;
  models.push_back(cell.base);
  for (const ModelRef& model : models)
    for (const std::string& path : {model.path, model.adapter})
      if (!path.empty()) paths.emplace_back(path);
  return paths;
}

}  // namespace

RunRecord run_cell(ExecutionContext& context, const Cell& cell, std::exception_ptr* error,
                   const AnswerObserver& observer) {
  count_operator_flops();
  RunRecord record = empty_record(cell);
  bool scored = false;
  try {
    check_available(cell.devices);
    if (cell.kind == CellKind::kModel && !cell.experts.front().adapter.empty())
      record.diagnostics["adapter"] = utf8_text(cell.experts.front().adapter);
    std::map<std::string, TaskError> errors;
    std::optional<Cost> spent;
    for (const auto& [owner, tasks] : tasks_by_model(cell)) {
      const auto predictor = make_predictor(context, cell, owner, record);
      const LanguagePredictor* language = as_language_model(*predictor);
      const bool routed = language && has_routers(language->evaluator().model(), context);
      Meter meter(cell.devices.front());
      errors.merge(score_tasks(tasks, cell.split, *predictor, routed, record, observer));
      const Cost cost = meter.stop();
      if (spent)
        *spent += cost;
      else
        spent = cost;
    }
    sort_scores(cell, record.scores);
    // Before the cost is recorded: a failed cell with this cost is one whose tasks failed.
    check_mapped_files(model_paths(cell));
    Cost& cost = record.costs["evaluation"] = *spent;
    if (cell.devices.size() > 1) {  // the meter sees the first device alone
      cost.device_s.reset();
      cost.peak_device_bytes.reset();
      cost.own_peak_device_bytes.reset();
    }
    scored = true;
    raise(errors, cell.tasks.size());
  } catch (const std::exception& e) {
    record.status = dynamic_cast<const SkipCell*>(&e) ? RunStatus::kSkipped : RunStatus::kFailed;
    record.reason = valid_utf8(e.what());  // it may quote data
    if (error) *error = std::current_exception();
  } catch (...) {
    record.status = RunStatus::kFailed;
    record.reason = kUnknownError;
    if (error) *error = std::current_exception();
  }
  if (!scored) record.scores.clear();
  return record;
}

}  // namespace assay
