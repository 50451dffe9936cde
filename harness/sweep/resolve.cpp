#include <algorithm>
#include <cstdlib>
#include <set>

#include "harness/checkpoint/origin.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/hash.h"
#include "harness/core/log.h"
#include "harness/core/paths.h"
#include "harness/merge/merge.h"
#include "harness/merge/model_checks.h"
#include "harness/merge/preflight.h"
#include "harness/model/layers_of.h"
#include "harness/model/open.h"
#include "harness/model/placement.h"
#include "harness/sweep/internal/calibration_needs.h"
#include "harness/sweep/internal/expert_lists.h"
#include "harness/sweep/internal/found_names.h"
#include "harness/sweep/internal/task_patterns.h"
#include "harness/sweep/plan.h"
#include "harness/train/recipe.h"

namespace assay {
namespace {

/// Whether the model was trained on the task, or on its family.
bool is_own_task(const SweepModel& model, const Task& task) {
  const auto& on = model.trained_on;
  const auto names = [&](const std::string& what) {
    return !what.empty() && std::find(on.begin(), on.end(), what) != on.end();
  };
  return names(task.name()) || names(task.family());
}

class ModelOpener {
 public:
  explicit ModelOpener(ResolvedSweep& sweep) : sweep_(sweep) {
    if (sweep.file.recipe) recipe_ = Recipe::read(*sweep.file.recipe);
  }

  /// `base`: the name of the model, opened before, that a lone adapter is added to.
  void open(const std::string& name, const std::string& role,
            const std::optional<std::string>& base = {}) {
    if (recipe_ && sweep_.models.contains(name)) return;
    SweepModel model{.name = name, .role = role, .checkpoint = nullptr, .trained_on = {}};
    if (recipe_ && recipe_->outside_models().contains(name)) {
      model.checkpoint = recipe_->outside_models().at(name);
      check_text(model.checkpoint->label());
    } else if (recipe_) {
      check_text(plain_path(models_folder(recipe_->name()) / name).string());
      model.checkpoint = find_checkpoint(*recipe_, name, models_folder(recipe_->name()));
    } else {
      const ModelPath path = find_model(name, sweep_.file.path.parent_path(),
                                        base ? &sweep_.paths.at(*base) : nullptr);
      check_text(path.text());
      if (const auto [known, is_new] = sweep_.paths.emplace(name, path); !is_new) {
        if (known->second.text() != path.text())
          user_error(
              "{}: the adapter '{}' is an expert of sets with "
              "different bases; name it as 'BASE+{}', each with its own",
              sweep_.file.path.string(), name, name);
        return;
      }
      for (const std::string& note : path.notes) log_info("note: {}", note);
      model.checkpoint = Checkpoint::open(path);
    }
    const auto given = sweep_.file.trained_on.find(name);
    model.trained_on = given != sweep_.file.trained_on.end() ? given->second
                       : model.checkpoint                    ? trained_on(*model.checkpoint)
                                                             : recipe_->trained_on(name);
    sweep_.models.emplace(name, std::move(model));
  }

  void train_missing() {
    std::vector<std::string> missing;
    for (const auto& [name, model] : sweep_.models)
      if (!model.checkpoint) missing.push_back(name);
    if (missing.empty()) return;
    const auto made = ensure_checkpoints(*recipe_, missing, models_folder(recipe_->name()),
                                         training_jobs(*recipe_));
    for (size_t i = 0; i < missing.size(); ++i) sweep_.models.at(missing[i]).checkpoint = made[i];
  }

 private:
  // Cells go to workers as JSON.
  static void check_text(const std::string& path) {
    if (const std::string text = utf8_text(path); text != path)
      user_error("'{}': the path of a sweep's model must be UTF-8; rename the folder", text);
  }

  ResolvedSweep& sweep_;
  std::optional<Recipe> recipe_;
};

void check_trained_on(const ResolvedSweep& sweep) {
  std::vector<std::string> known;
  for (const auto& [name, unused] : sweep.models) known.push_back(name);
  for (const auto& [name, tasks] : sweep.file.trained_on) {
    if (!sweep.models.contains(name))
      throw UserError(
          unknown_name("model", name, sweep.file.path.string() + ": trained_on", known));
    for (const std::string& task : tasks)
      if (std::none_of(sweep.tasks.begin(), sweep.tasks.end(),
                       [&](const auto& known_task) { return known_task->family() == task; }))
        load_task(task, fmt::format("{}: trained_on.{}", sweep.file.path.string(), name));
  }
}

void check_held_in(const ResolvedSweep& sweep) {
  for (const ExpertSet& set : sweep.file.sets)
    if (sweep.held_in(set).empty())
      user_error(
          "{}: no task of the sweep is held-in for the set '{}': none of its experts says that it "
          "was trained on one. Name tasks they were trained on, or say so under 'trained_on'",
          sweep.file.path.string(), set.name);
}

// Loads the tasks that rows name to be calibrated on.
void open_calibration(ResolvedSweep& sweep) {
  const bool texts = sweep.tasks.front()->is_about_text();
  for (const MethodSpec& method : sweep.file.methods) {
    const RowCalibration& row = method.calibration;
    if (row.tasks.empty() || sweep.named_tasks.contains(row.tasks)) continue;
    auto& tasks = sweep.named_tasks[row.tasks] = load_tasks(row.tasks, row.where);
    for (const auto& task : tasks)
      if (task->is_about_text() != texts)
        user_error("{}: '{}' is {}about texts, the tasks of the sweep are{}", row.where,
                   task->name(), texts ? "not " : "", texts ? "" : " not");
  }
}

void check_tuning(const ResolvedSweep& sweep) {
  for (const ExpertSet& set : sweep.file.sets)
    for (const MethodSpec& method : sweep.file.methods) {
      const auto made =
          MethodConfiguration::read(method.method, JsonReader(method.parameters, method.where));
      if (method.evaluations(set.experts.size()) < 2 ||
          sweep.unmet_need(set, made.needs(), method.calibration))
        continue;  // nothing to choose from
      if (const auto obstacle = obstacle_to_choosing(sweep, set))
        user_error("{}: '{}' cannot be tuned for the set '{}' on the tasks held in there: {}",
                   sweep.file.path.string(), method.label, set.name, *obstacle);
      if (method.search && method.search->algorithm == "nsga2" && sweep.held_in(set).size() < 2)
        user_error(
            "{}: '{}' cannot be searched by nsga2 for the set '{}': it has one held-in "
            "task, and nsga2 weighs several; use cma_es",
            sweep.file.path.string(), method.label, set.name);
    }
}

// Experts and base of a set are merged whatever their configs say: a merge computes as its first
// expert does.
void warn_of_differences(const ResolvedSweep& sweep) {
  std::set<std::string> reported;
  for (const ExpertSet& set : sweep.file.sets) {
    if (sweep.unequal.contains(set.name)) continue;  // each computes as its own config says
    std::vector<MergeModel> models;
    const auto add = [&](const std::string& name) {
      if (const auto& checkpoint = sweep.models.at(name).checkpoint)
        models.push_back({checkpoint, checkpoint->config()});
    };
    for (const std::string& expert : set.experts) add(expert);
    if (set.base) add(*set.base);
    if (models.empty()) continue;
    for (const std::string& difference : config_differences(models))
      if (reported.insert(difference).second)
        log_warning("{}; merges are scored as the latter computes", difference);
  }
}

// Tables by layer group have to fit the tensors of the set.
void check_tables(const SweepFile& file, const MergeInputs& inputs, const Checkpoint& first) {
  const auto may_have = [](const MethodSpec& method) {
    const auto is_object = [](const Json& value) { return value.is_object(); };
    return std::any_of(method.parameters.begin(), method.parameters.end(), is_object) ||
           std::any_of(method.grid.begin(), method.grid.end(), [&](const auto& entry) {
             return std::any_of(entry.second.begin(), entry.second.end(), is_object);
           });
  };
  if (std::none_of(file.methods.begin(), file.methods.end(), [&](const MethodSpec& method) {
        return method.search.has_value() || may_have(method);
      }))
    return;
  BlockOfTensor blocks;
  if (!first.config().is_null())
    blocks = block_of_tensors(*architecture_of(first), inputs.experts.front()->tensors());
  const std::vector<std::string> tensors = merged_names(inputs);
  for (const MethodSpec& method : file.methods) {
    if (method.search)
      check_layer_groups(method.search->layer_groups, tensors, blocks,
                         method.where + ".search.layer_groups");
    if (may_have(method))
      for (const Json& point : method.grid_points())
        MethodConfiguration::read(method.method, JsonReader(point, method.where))
            .groups(tensors, blocks);
  }
}

/// Whether a method of the sweep has needs of which this is so.
bool any_needs(const SweepFile& file, bool (*is_so)(const Needs&)) {
  return std::any_of(file.methods.begin(), file.methods.end(), [&](const MethodSpec& method) {
    return is_so(
        MethodConfiguration::read(method.method, JsonReader(method.parameters, method.where))
            .needs());
  });
}

void check_models(ResolvedSweep& sweep) {
  const Devices& devices = sweep.devices;
  for (const auto& [name, model] : sweep.models)
    if (devices.size() > 1 && model.checkpoint && !model.checkpoint->config().is_null())
      check_devices(*architecture_of(*model.checkpoint), devices);
  for (const ExpertSet& set : sweep.file.sets) {
    std::shared_ptr<const Checkpoint> base;
    if (set.base) base = sweep.models.at(*set.base).checkpoint;
    std::vector<std::shared_ptr<const Checkpoint>> experts;
    for (const std::string& expert : set.experts)
      experts.push_back(sweep.models.at(expert).checkpoint);
    const bool all_there = std::all_of(experts.begin(), experts.end(),
                                       [](const auto& expert) { return expert != nullptr; });
    if (!all_there || (set.base && !base)) continue;
    std::vector<std::string> notes;
    const MergeInputs inputs = reconciled_inputs(base, experts, &notes);
    const std::vector<std::string> mismatches = tensor_mismatches(inputs);
    if (!mismatches.empty() &&
        any_needs(sweep.file, [](const Needs& needs) { return !needs.same_shapes; })) {
      sweep.unequal[set.name] = mismatches.front();
      log_info("note: set '{}': the models differ in their tensors: {}", set.name,
               mismatches.front());
      continue;
    }
    if (base)
      if (const auto conflict = tying_conflict(*base, experts))
        data_error("{}: set '{}': {}", sweep.file.path.string(), set.name, *conflict);
    check_compatible(inputs);
    check_tables(sweep.file, inputs, *experts.front());
    const bool one_initialisation =
        any_needs(sweep.file, [](const Needs& needs) { return needs.same_initialization; });
    for (std::string& note : value_notes(inputs, one_initialisation))
      notes.push_back(std::move(note));
    for (const std::string& note : notes) log_info("note: set '{}': {}", set.name, note);
  }
}

}  // namespace

std::filesystem::path models_folder(const std::string& recipe_name) {
  const char* root = std::getenv("ASSAY_MODELS_DIR");
  return (root && *root ? fs::path(root) : fs::path("out") / "models") / recipe_name;
}

ResolvedSweep resolve_sweep(SweepFile file, const Devices& devices, Missing missing) {
  ResolvedSweep sweep;
  sweep.file = std::move(file);
  sweep.devices = devices;
  sweep.tasks = load_tasks(with_found_chats(sweep.file.tasks, sweep.file.path.parent_path()),
                           sweep.file.path.string() + ": tasks");
  check_splits(sweep.tasks, Split::kTest);
  ModelOpener opener(sweep);
  for (const ExpertSet& set : sweep.file.sets) {
    if (set.base) opener.open(*set.base, "base");
    for (const std::string& expert : set.experts) opener.open(expert, "expert", set.base);
    if (set.multitask) opener.open(*set.multitask, "multitask", set.base);
  }
  check_trained_on(sweep);
  check_held_in(sweep);
  open_calibration(sweep);
  check_tuning(sweep);
  check_lists(sweep.file);
  if (missing == Missing::kTrain) opener.train_missing();
  check_models(sweep);
  warn_of_differences(sweep);
  for (auto& [name, model] : sweep.models)
    model.ref = model.checkpoint ? model_ref(*model.checkpoint) : ModelRef{name, ""};
  return sweep;
}

namespace {
bool is_known_architecture(const ResolvedSweep& sweep, const std::string& model) {
  const auto& checkpoint = sweep.models.at(model).checkpoint;
  return !checkpoint || !checkpoint->config().is_null();  // one that is trained yet has a config
}
}  // namespace

std::optional<std::string> ResolvedSweep::unmet_need(const ExpertSet& set, const Needs& needs,
                                                     const RowCalibration& row) const {
  // What calibration data lack is said in more words than whether there are any.
  if (auto reason = assay::unmet_need(
          needs, {.base = set.base.has_value(),
                  .experts = set.experts.size(),
                  .calibration_inputs = true,
                  .calibration_labels = true,
                  .gradients = true,
                  .architecture = is_known_architecture(*this, set.experts.front())}))
    return reason;
  if (const auto mismatch = unequal.find(set.name); mismatch != unequal.end() && needs.same_shapes)
    return unmet_shapes_need(mismatch->second);
  if (auto reason = unmet_calibration(*this, set, needs, row)) return reason;
  std::vector<std::shared_ptr<const Checkpoint>> checkpoints;
  if (set.base) checkpoints.push_back(models.at(*set.base).checkpoint);
  for (const std::string& expert : set.experts) checkpoints.push_back(models.at(expert).checkpoint);
  if (auto reason = unmet_tokenizer_need(needs, checkpoints)) return reason;
  return unmet_initialization_need(needs, checkpoints);
}

std::vector<std::shared_ptr<const Task>> ResolvedSweep::own_tasks(const std::string& model) const {
  std::vector<std::shared_ptr<const Task>> own;
  for (const auto& task : tasks)
    if (is_own_task(models.at(model), *task)) own.push_back(task);
  return own;
}

std::vector<std::shared_ptr<const Task>> ResolvedSweep::calibration_tasks(
    const std::string& expert, const RowCalibration& row) const {
  return row.tasks.empty() ? own_tasks(expert) : named_tasks.at(row.tasks);
}

CellCalibration ResolvedSweep::calibration(const ExpertSet& set, const RowCalibration& row) const {
  CellCalibration calibration{row.spec, {}};
  for (const std::string& expert : set.experts) {
    auto& tasks_of = calibration.tasks.emplace_back();
    for (const auto& task : calibration_tasks(expert, row))
      tasks_of.push_back({task->name(), task->hash(), std::nullopt, task->changes()});
  }
  return calibration;
}

std::optional<size_t> ResolvedSweep::owner(const ExpertSet& set, const Task& task) const {
  for (size_t i = 0; i < set.experts.size(); ++i)
    if (is_own_task(models.at(set.experts[i]), task)) return i;
  return std::nullopt;
}

std::vector<std::string> ResolvedSweep::held_in(const ExpertSet& set) const {
  std::vector<std::string> out;
  for (const auto& task : tasks)
    if (owner(set, *task)) out.push_back(task->name());
  return out;
}

bool ResolvedSweep::is_scored(const ExpertSet& set, const Task& task) const {
  return !file.held_in_only || owner(set, task);
}

SweepRecord ResolvedSweep::record() const {
  SweepRecord record{file.name, file.json, hash_text(file.name + canonical(file.json)), {}};
  for (const ExpertSet& set : file.sets) {
    ExpertSetRecord set_record{set.name, {}, {}};
    for (const std::string& expert : set.experts)
      set_record.experts.push_back(models.at(expert).checkpoint->content_hash());
    for (const auto& task : tasks) {
      if (!is_scored(set, *task)) continue;
      const auto of = owner(set, *task);
      set_record.tasks.push_back(
          {task->name(), of.has_value(), of ? set_record.experts.at(*of) : std::string()});
    }
    record.sets.push_back(std::move(set_record));
  }
  record.found = found_names(*this);
  return record;
}

}  // namespace assay
