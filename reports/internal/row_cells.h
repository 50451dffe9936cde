/// Cells that several tables of rows share.
#pragma once

#include <string>

#include "reports/internal/leaderboard.h"
#include "reports/internal/tables.h"

namespace assay {

/// One field of a cost, in the column's common unit.
TableCell cost_cell(const CostValues& values, const CostField& field);
/// "83.4 ±1.2", with the interval as note and mark.
TableCell estimate_cell(const Estimate& estimate);
/// The same without a mark.
TableCell plain_estimate_cell(const Estimate& estimate);
/// The row's name, tagged "default" or "tuned", with a note where it needs the task's name.
TableCell name_cell(const LeaderboardRow& row);
/// The title of the row's group in a table.
std::string group_of(const LeaderboardRow& row);

/// The task's name, without its suite where all tasks are of one.
std::string short_task_name(const Leaderboard& board, const std::string& task);

}  // namespace assay
