#include "reports/internal/row_cells.h"

#include <fmt/format.h>

#include <algorithm>

#include "reports/internal/format.h"

namespace assay {

TableCell cost_cell(const CostValues& values, const CostField& field) {
  // Where nothing was done nothing is unknown.
  if (std::none_of(values.begin(), values.end(), [](const auto& v) { return v; }))
    return {.text = std::string(kNotAvailable)};
  const auto value = cost_value(values, field.key), whole = cost_value(values, field.whole);
  return {
      .text = cost_text(values, field),
      .sort = value,
      .note = whole ? fmt::format("the whole process: {}", cost_text(whole, CostUnit::kBytes)) : "",
      .cost = value};
}

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

std::string short_task_name(const Leaderboard& board, const std::string& task) {
  const size_t slash = task.find('/');
  if (slash == std::string::npos) return task;
  const std::string prefix = task.substr(0, slash + 1);
  const bool shared =
      std::all_of(board.tasks.begin(), board.tasks.end(),
                  [&](const std::string& other) { return other.starts_with(prefix); });
  return shared ? task.substr(prefix.size()) : task;
}

}  // namespace assay
