#include "harness/sweep/internal/calibration_needs.h"

#include "harness/core/error.h"

namespace assay {

std::optional<std::string> unmet_calibration(const ResolvedSweep& sweep, const ExpertSet& set,
                                             const Needs& needs, const RowCalibration& row) {
  if (!looks_at_data(needs)) return std::nullopt;
  const std::string what = needs.calibration_labels   ? "needs calibration data with labels"
                           : needs.calibration_inputs ? "needs calibration data"
                                                      : "needs gradients on calibration data";
  for (const std::string& expert : set.experts) {
    const auto& checkpoint = sweep.models.at(expert).checkpoint;
    if (checkpoint && checkpoint->config().is_null())
      return fmt::format("{}, and '{}' has no config.json that says how it is run", what, expert);
    const auto tasks = sweep.calibration_tasks(expert, row);
    if (tasks.empty())
      return fmt::format(
          "{}, and the expert '{}' was trained on no task of the sweep: add one that it was "
          "trained on to 'tasks', say under 'trained_on' which it was, or name other tasks under "
          "'calibration'",
          what, expert);
    for (const auto& task : tasks) try {
        task->check_split(row.spec.split);
      } catch (const std::exception& e) {
        return fmt::format(
            "{}, and there is no {} split of '{}', a task for the expert '{}': {}. 'calibration' "
            "may name another 'split'",
            what, split_name(row.spec.split), task->name(), expert, e.what());
      }
  }
  return std::nullopt;
}

}  // namespace assay
