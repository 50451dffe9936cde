/// From a sweep file to cells. Everything that can be wrong is found here, before anything runs.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/checkpoint/checkpoint.h"
#include "harness/sweep/cell.h"
#include "harness/sweep/sweep_file.h"
#include "harness/task/task.h"
#include "results/records.h"

namespace assay {

/// A model of the sweep.
struct SweepModel {
  std::string name, role;                        ///< role: "base", "expert" or "multitask"
  std::shared_ptr<const Checkpoint> checkpoint;  ///< null: still to be trained (in a dry run)
  std::vector<std::string> trained_on;           ///< names of tasks and of families
  /// Name and no hash while the checkpoint is not there.
  ModelRef ref() const {
    return checkpoint ? ModelRef{checkpoint->path().string(), checkpoint->content_hash()}
                      : ModelRef{name, ""};
  }
};

/// A sweep with its checkpoints and tasks.
struct ResolvedSweep {
  SweepFile file;
  std::map<std::string, SweepModel> models;
  std::vector<std::shared_ptr<const Task>> tasks;
  std::string device;
  SweepRecord record() const;
  /// Tasks that an expert of the set was trained on, in task order; the other tasks are held out.
  std::vector<std::string> held_in(const ExpertSet& set) const;
};

/// Where checkpoints made by a recipe are kept: out/models/RECIPE under the current folder, or
/// ASSAY_MODELS_DIR/RECIPE.
std::filesystem::path models_folder(const std::string& recipe_name);

/// What to do about checkpoints that a recipe makes and that are not there.
enum class Missing { kTrain, kLeave };

/// Trains what is missing (or leaves it, for a dry run), opens everything and checks that the
/// models fit together and that every set has held-in tasks.
ResolvedSweep resolve_sweep(SweepFile file, const std::string& device, Missing missing);

/// A cell and its place in the leaderboard. Cells of equal key are one run with several places.
struct PlannedCell {
  Cell cell;
  Placement placement;
};

/// Something that validation scores decide: the best expert of a set, or a method's parameters. The
/// candidate with the highest mean primary score wins, the first of equals, and only the test cell
/// that stands beside it is run.
struct Choice {
  Placement placement;           ///< of the winner's test cell
  std::vector<Cell> candidates;  ///< on the validation split of the held-in tasks
  std::vector<Cell> test_cells;  ///< one per candidate
};

struct Plan {
  /// The reference rows of every set (base, experts, multitask, ensemble) and every method with its
  /// default parameters, on test.
  std::vector<PlannedCell> fixed;
  std::vector<Choice> choices;
};

Plan plan_sweep(const ResolvedSweep& sweep);

/// Why the cell's method cannot be applied, in words; absent when it can, and for reference cells.
std::optional<std::string> unmet_need(const Cell& cell);

}  // namespace assay
