/// From a sweep file to cells. Everything that can be wrong is found here, before anything runs.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/checkpoint/checkpoint.h"
#include "harness/method/info.h"
#include "harness/sweep/cell.h"
#include "harness/sweep/sweep_file.h"
#include "harness/task/task.h"
#include "results/records.h"

namespace assay {

class Search;

/// A model of the sweep.
struct SweepModel {
  std::string name, role;                        ///< role: "base", "expert" or "multitask"
  std::shared_ptr<const Checkpoint> checkpoint;  ///< null: still to be trained (in a dry run)
  std::vector<std::string> trained_on;           ///< names of tasks and of families
  ModelRef ref{};  ///< its name and no hashes while the checkpoint is not there
};

/// A sweep with its checkpoints and tasks.
struct ResolvedSweep {
  SweepFile file;
  std::map<std::string, SweepModel> models;
  std::map<std::string, ModelPath> paths;  ///< of the models, but for a recipe's
  std::vector<std::shared_ptr<const Task>> tasks;
  Devices devices;
  /// By RowCalibration::tasks, of the rows that name any.
  std::map<std::vector<std::string>, std::vector<std::shared_ptr<const Task>>> named_tasks{};
  /// By name, the sets whose models differ in their tensors: the first mismatch. Only methods that
  /// take such models (Needs::same_shapes) are applied to them.
  std::map<std::string, std::string> unequal{};
  SweepRecord record() const;
  /// The first expert of the set that was trained on the task; absent when it is held out.
  std::optional<size_t> owner(const ExpertSet& set, const Task& task) const;
  /// Tasks that an expert of the set was trained on, in task order; the other tasks are held out.
  std::vector<std::string> held_in(const ExpertSet& set) const;
  /// Whether the set's rows are scored on the task on test: on every task, or, where the file says
  /// so, on those held in.
  bool is_scored(const ExpertSet& set, const Task& task) const;
  /// The tasks that the model was trained on, in task order.
  std::vector<std::shared_ptr<const Task>> own_tasks(const std::string& model) const;
  /// The tasks whose examples an expert is run on, by a row: those that the row names, else the
  /// expert's own.
  std::vector<std::shared_ptr<const Task>> calibration_tasks(const std::string& expert,
                                                             const RowCalibration& row) const;
  /// What calibrates a method that looks at data.
  CellCalibration calibration(const ExpertSet& set, const RowCalibration& row) const;
  /// What keeps a method from being applied to the set, in words; absent when nothing does. Reads
  /// neither tensors nor data.
  std::optional<std::string> unmet_need(const ExpertSet& set, const Needs& needs,
                                        const RowCalibration& row = {}) const;
};

/// Where checkpoints made by a recipe are kept: out/models/RECIPE under the current folder, or
/// ASSAY_MODELS_DIR/RECIPE.
std::filesystem::path models_folder(const std::string& recipe_name);

/// What to do about checkpoints that a recipe makes and that are not there.
enum class Missing { kTrain, kLeave };

/// Checks that every task has a test split, that every set has held-in tasks and that what is to be
/// tuned can be (obstacle_to_choosing()); then trains what is missing (or leaves it, for a dry run)
/// and checks that the models fit together. Warns where their configs differ in what they compute.
ResolvedSweep resolve_sweep(SweepFile file, const Devices& devices, Missing missing);

/// Why the validation scores of a set's held-in tasks cannot choose anything, in words: a task has
/// no validation data. Absent when they can.
std::optional<std::string> obstacle_to_choosing(const ResolvedSweep& sweep, const ExpertSet& set);

/// A cell and its place in the leaderboard. Cells of equal key are one run with several places.
struct PlannedCell {
  Cell cell;
  Placement placement;
  /// Why it is not to be run, in words; absent when it is.
  std::optional<std::string> unmet{};
};

/// Something that validation scores decide: the best expert of a set, or a method's parameters. The
/// candidate with the highest mean primary score wins, unless the search has another rule, and only
/// its test cell is run.
struct Choice {
  Placement placement;  ///< of the winner's test cell
  int64_t budget = 0;   ///< the most candidates
  std::function<std::unique_ptr<Search>()> search;
  /// A candidate on the validation split of the held-in tasks, or on test. UserError for parameters
  /// that cannot be used together.
  std::function<Cell(const Json& candidate, Split split)> cell;
  const SearchSpec* spec = nullptr;  ///< of a row's "search"; null for a grid
  uint64_t seed = 0;                 ///< of all its cells
  /// Where the held-in tasks' primary metrics are of different kinds: the key of the validation run
  /// of the task's own expert, by task. Merits are then relative to its scores. Else empty.
  std::map<std::string, std::string> relative_to{};
};

/// Must not outlive the sweep that it is of.
struct Plan {
  /// The reference rows of every set (base, experts, multitask, ensemble) and every method with its
  /// default parameters, on test; and what would be a choice if there were more than one candidate.
  std::vector<PlannedCell> fixed;
  std::vector<Choice> choices;
};

Plan plan_sweep(const ResolvedSweep& sweep);

}  // namespace assay
