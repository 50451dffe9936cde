/// The interface of tasks. A task scores a predictor on one split of its data.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/core/json.h"
#include "harness/core/registry.h"
#include "harness/lm/requests.h"
#include "harness/model/predictor.h"
#include "harness/task/dataset.h"

namespace assay {

/// One metric over one split, with the outcome of every item in the dataset's fixed order, for
/// paired comparisons of models on the same items.
struct MetricResult {
  std::string metric;  ///< unit and direction: harness/core/metrics.h
  /// The mean of the outcomes, a fraction in [0, 1]; or a metric that is not a mean (perplexity).
  double value;
  /// Per item. Where the value is not a mean of items: the value plus the item's influence function
  /// (delta method), so that their mean is the value and their spread its uncertainty.
  std::vector<double> outcomes;
};

/// A metric whose value is the mean of the outcomes.
MetricResult mean_of(std::string metric, std::vector<double> outcomes);

/// The requests to a model about one item.
struct ItemRequests {
  std::string where;                 ///< the item's location in its file
  TextRequests requests{};           ///< to a language model; requests() concatenates all items'
  std::vector<std::string> texts{};  ///< for an encoder, one or two
  std::string target{};              ///< the correct answer; for choices its text
  std::optional<size_t> choice{};    ///< index of the correct choice
  std::optional<int64_t> label{};    ///< index of the correct class, for an encoder's head
  /// The correct answer after its context, for language models; absent where there is none.
  std::optional<LikelihoodRequest> solution{};
};

/// Inputs and integer targets for training.
struct Examples {
  at::Tensor inputs;   ///< float32 [n, ...]
  at::Tensor targets;  ///< int64 [n]
};

/// What the command line or a sweep changes of a task; its hash, and so the keys of scores, change
/// too.
struct TaskChanges {
  std::optional<int64_t> limit{};     ///< use only the first n items of a split
  std::optional<int64_t> few_shot{};  ///< number of few-shot examples, from 0
  /// Path of the model with whose chat template prompts are written as chats; empty: they are not.
  std::string chat{};
  bool operator==(const TaskChanges&) const = default;
};
/// Takes "limit", "few_shot" and "chat_template" from an object of a file; the path as it is there.
/// UserError naming the place.
TaskChanges read_task_changes(JsonReader& object);
/// An object with what is changed.
void to_json(Json& json, const TaskChanges& changes);
void from_json(const Json& json, TaskChanges& changes);

class Task {
 public:
  virtual ~Task() = default;
  const std::string& name() const { return name_; }
  /// Hash of the definition and of the data's manifest: part of every cell's key.
  const std::string& hash() const { return hash_; }
  /// What registered its kind; null: Assay itself.
  const Plugin* plugin() const { return plugin_; }
  /// What load_task() made it with.
  const TaskChanges& changes() const { return changes_; }
  /// The task's entry in its suite file, with the changes, for the store.
  const Json& definition() const { return definition_; }
  /// The definition's "family", to which models refer in what they were trained on; may be empty.
  std::string family() const { return definition_.value("family", ""); }

  /// The first entry is the primary metric. DataError when the split is empty or a score is not
  /// finite.
  virtual std::vector<MetricResult> evaluate(const Predictor& predictor, Split split) const = 0;
  /// The name of that first entry, without scoring.
  virtual std::string primary_metric() const = 0;
  /// UserError, naming the existing splits, when the definition has no data for the split;
  /// DataError when its files are missing. Reads no data.
  virtual void check_split(Split) const {}
  /// On CPU. DataError when the split is empty.
  virtual Examples examples(Split split) const = 0;
  virtual int64_t size(Split split) const = 0;
  /// Whether its items are texts, so that item_requests() is available.
  virtual bool is_about_text() const { return false; }
  /// The requests of evaluate() to a language model, so that those of several tasks can be
  /// scheduled together.
  virtual TextRequests requests(Split) const { return {}; }
  /// The same per item, with the correct answer. UserError when the task is not about text.
  virtual std::vector<ItemRequests> item_requests(Split split) const;
  /// evaluate() from a model's answers to requests(), in their order.
  virtual std::vector<MetricResult> evaluate_answers(const TextResponses& answers,
                                                     Split split) const;

 protected:
  /// `hash`: of what the kind knows of. That of a plugin that registered the kind is added to it.
  Task(std::string name, const std::string& hash, Json definition);

 private:
  std::string name_, hash_;
  const Plugin* plugin_;
  TaskChanges changes_;
  Json definition_;
};

/// Makes tasks of one kind. `definition`: the suite's shared keys, overridden by the task's own.
using TaskKind =
    std::function<std::shared_ptr<const Task>(const std::string& name, JsonReader definition)>;
Registry<TaskKind>& task_kinds();

/// "digits/mnist-012" for every task of every suite file under home_folder()/tasks and under the
/// folder that the environment variable ASSAY_TASKS_DIR names.
std::vector<std::string> task_names();
/// All their definitions, by name, in the order of task_names(). Reads no data.
std::vector<std::pair<std::string, Json>> task_definitions();
/// The suites of these tasks with their files, in the order of task_names().
std::vector<std::pair<std::string, std::filesystem::path>> suite_files(
    const std::vector<std::string>& tasks);

/// Loaded once per process, and immutable then. UserError with the nearest name when there is no
/// such task, and when a change does not apply to it; `where`: the request, for the message.
std::shared_ptr<const Task> load_task(const std::string& name,
                                      const std::string& where = "the request",
                                      const TaskChanges& changes = {});
/// Tasks by name, glob ("digits/*") or family, and what is changed of them.
struct TaskPattern {
  std::string pattern;
  TaskChanges changes{};
};
/// The tasks in file order, without repeats. UserError when a pattern matches nothing, and when two
/// match one task and change it differently.
std::vector<std::shared_ptr<const Task>> load_tasks(const std::vector<TaskPattern>& patterns,
                                                    const std::string& where);
/// The same with one change for all.
std::vector<std::shared_ptr<const Task>> load_tasks(const std::vector<std::string>& patterns,
                                                    const std::string& where = "the request",
                                                    const TaskChanges& changes = {});
/// check_split() of all; one DataError names the missing files of all of them.
void check_splits(const std::vector<std::shared_ptr<const Task>>& tasks, Split split);

}  // namespace assay

#define ASSAY_TASK_KIND(name, function) \
  ASSAY_REGISTER([] { ::assay::task_kinds().add(name, function); })
