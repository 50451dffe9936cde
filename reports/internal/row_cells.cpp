#include "reports/internal/row_cells.h"

#include <fmt/format.h>

#include "reports/internal/format.h"

namespace assay {

TableCell estimate_cell(const Estimate& estimate) {
  return {.text = estimate_text(estimate),
          .sort = estimate.value,
          .note = estimate.ci ? "95 %: " + ci_text(estimate) : "",
          .mark = estimate};
}

TableCell plain_estimate_cell(const Estimate& estimate) {
  TableCell cell = estimate_cell(estimate);
  cell.mark.reset();
  return cell;
}

TableCell name_cell(const LeaderboardRow& row) {
  TableCell cell{.text = row.name, .tag = row.variant == "reference" ? "" : row.variant};
  if (row.needs_task_name)
    cell.note = row.task_bytes
                    ? fmt::format("needs the task's name; {} per task",
                                  cost_text(static_cast<double>(*row.task_bytes), CostUnit::kBytes))
                    : "needs the task's name";
  return cell;
}

std::string group_of(const LeaderboardRow& row) {
  if (row.needs_task_name) return "A model per task";
  if (row.is_merge()) return "Merging methods";
  return row.is_single_expert() ? "Single experts" : "References";
}

}  // namespace assay
