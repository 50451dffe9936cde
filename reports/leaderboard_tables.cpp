#include <fmt/format.h>

#include <algorithm>

#include "harness/core/metrics.h"
#include "reports/internal/format.h"
#include "reports/internal/row_cells.h"
#include "reports/internal/scaling.h"

namespace assay {
namespace {

TableCell shipped_cell(const LeaderboardRow& row) {
  const auto& bytes = row.costs.shipped_bytes;
  if (!bytes) return {.text = std::string(kNotAvailable)};
  return {.text = cost_text(bytes, CostUnit::kBytes), .sort = bytes, .cost = bytes};
}

TableCell wall_cell(const CostValues& values) { return cost_cell(values, kCostFields.front()); }

// The number of a cell, without its interval.
std::string number_of(const TableCell& cell) { return cell.text.substr(0, cell.text.find(" ±")); }

// Marks the best cells of a column among complete single merges; equal texts are equally good.
void mark_best(Table& table, const Leaderboard& board, size_t column, bool less_is_better) {
  if (table.groups.empty()) return;
  auto& rows = table.groups.front().rows;  // merges come first
  const TableCell* best = nullptr;
  size_t compared = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!board.rows[i].is_single_merge() || board.rows[i].partial() || !rows[i][column].sort)
      continue;
    ++compared;
    const TableCell& cell = rows[i][column];
    if (!best || (less_is_better ? *cell.sort < *best->sort : *cell.sort > *best->sort))
      best = &cell;
  }
  if (compared < 2) return;
  const std::string text = number_of(*best);
  for (size_t i = 0; i < rows.size(); ++i)
    if (board.rows[i].is_single_merge() && !board.rows[i].partial() &&
        number_of(rows[i][column]) == text)
      rows[i][column].best = true;
}

// The name, with notes when the row is not complete, from a plugin or transductive.
TableCell row_cell(const LeaderboardRow& row) {
  std::string note;
  if (row.sets_used == 0)
    note = "no result";
  else if (row.sets_used < row.sets_total)
    note = fmt::format("partial: {} of {} sets", row.sets_used, row.sets_total);
  else if (row.partial())
    note = fmt::format("partial: {} of {} runs", row.runs_ok, row.runs_total);
  TableCell cell = name_cell(row);
  if (!note.empty()) cell.note += (cell.note.empty() ? "" : "; ") + note;
  for (const PluginUse& use : row.plugins)
    if (use.kind == "method")
      cell.note += fmt::format("{}from the plugin {} ({})", cell.note.empty() ? "" : "; ",
                               use.plugin, short_hash(use.hash));
  if (row.is_transductive()) {
    cell.note +=
        fmt::format("{}transductive: calibrated on the test split", cell.note.empty() ? "" : "; ");
    cell.warning = true;
  }
  return cell;
}

// Rows in the leaderboard's order, in its groups.
template <typename MakeRow>
std::vector<RowGroup> grouped(const Leaderboard& board, MakeRow&& make_row) {
  std::vector<RowGroup> groups;
  for (const LeaderboardRow& row : board.rows) {
    if (groups.empty() || groups.back().title != group_of(row))
      groups.push_back({group_of(row), {}});
    groups.back().rows.push_back(make_row(row));
  }
  return groups;
}

TableCell range_cell(const Estimate& e) {
  return {.text = range_text(e), .sort = e.spread ? std::optional(e.spread->low) : std::nullopt};
}

bool any_calibrated(const Leaderboard& board) {
  return std::any_of(board.rows.begin(), board.rows.end(),
                     [](const LeaderboardRow& row) { return !row.calibrations.empty(); });
}

// The last columns of a leaderboard: sets with a result, and costs. Gives the place of merge times.
size_t add_last_columns(const Leaderboard& board, Table& table) {
  table.columns.push_back({"Sets", true, "with a result"});
  const size_t merge_time = table.columns.size();
  table.columns.push_back({"Merge time", true, "wall, one merge", CostUnit::kSeconds});
  table.columns.push_back({"Tuning time", true, "wall, per set", CostUnit::kSeconds});
  if (any_calibrated(board)) {
    table.columns.push_back(
        {"Calibration time", true, "wall, statistics; part of the merge time", CostUnit::kSeconds});
    table.columns.push_back({"Shipped", true, "statistics, per expert", CostUnit::kBytes});
  }
  return merge_time;
}

void add_last_cells(const Leaderboard& board, const LeaderboardRow& row,
                    std::vector<TableCell>& cells) {
  cells.push_back({.text = fmt::format("{}/{}", row.sets_used, row.sets_total),
                   .sort = static_cast<double>(row.sets_used)});
  cells.push_back(wall_cell(row.costs.merge));
  cells.push_back(wall_cell(row.costs.tuning));
  if (!any_calibrated(board)) return;
  cells.push_back(wall_cell(row.costs.calibration));
  cells.push_back(shipped_cell(row));
}

// A task's primary score where the task is held-in, or where it is held-out.
struct TaskColumn {
  std::string task, metric;
  bool held_in;

  std::optional<double> of(const LeaderboardRow& row) const {
    return mean_score(row, metric, [this](const TaskScore& score) {
      return score.task == task && score.held_in == held_in;
    });
  }
};

// Held-in tasks first. One that is held-in in some sets and held-out in others has two columns.
std::vector<TaskColumn> task_columns(const Leaderboard& board) {
  std::vector<TaskColumn> columns;
  for (const bool held_in : {true, false})
    for (const std::string& task : board.tasks) {
      const auto metric = board.task_metrics.find(task);
      if (metric == board.task_metrics.end()) continue;
      TaskColumn column{task, metric->second, held_in};
      if (std::any_of(board.rows.begin(), board.rows.end(),
                      [&](const LeaderboardRow& row) { return column.of(row).has_value(); }))
        columns.push_back(std::move(column));
    }
  return columns;
}

}  // namespace

Table leaderboard_table(const Leaderboard& board, const std::string& metric) {
  Table table{
      .id = "leaderboard-" + metric,
      .title = "Leaderboard: " + metric,
      .intro = fmt::format(
          "Scores {}. ± is a 95 % confidence interval over test items; tasks, seeds and "
          "expert sets are taken as given. Over sets: the minimum and maximum over the means "
          "of single sets and seeds. Held-in: tasks that an expert of the set was trained "
          "on; held-out: all others. Bold: the best of complete merging rows that give one model.",
          is_fraction(metric) ? "in %" : "unscaled; lower is better"),
      .columns = {{"Model", false, ""},
                  {"Held-in", true, "± over items"},
                  {"over sets", true, "min…max"},
                  {"Held-out", true, "± over items"},
                  {"over sets", true, "min…max"},
                  {"Held-in ÷ expert", true, "task by task, %"},
                  {"Held-out ÷ base", true, "task by task, %"}},
      .groups = {}};
  const size_t merge_time = add_last_columns(board, table);
  table.groups = grouped(board, [&](const LeaderboardRow& row) {
    const RowScores& s = row.scores.at(metric);
    std::vector<TableCell> cells{row_cell(row),
                                 estimate_cell(s.held_in),
                                 range_cell(s.held_in),
                                 estimate_cell(s.held_out),
                                 range_cell(s.held_out),
                                 plain_estimate_cell(s.held_in_normalised),
                                 plain_estimate_cell(s.held_out_normalised)};
    add_last_cells(board, row, cells);
    return cells;
  });
  use_common_units(table);
  const bool less = lower_is_better(metric);
  for (const size_t score : {1, 3}) mark_best(table, board, score, less);
  for (const size_t normalised : {5, 6}) mark_best(table, board, normalised, false);
  mark_best(table, board, merge_time, true);
  return table;
}

Table mixed_leaderboard_table(const Leaderboard& board) {
  const std::vector<TaskColumn> tasks = task_columns(board);
  Table table{
      .id = std::string("leaderboard-") + kRelativeScore,
      .title = "Leaderboard",
      .intro =
          "The primary metrics of held-in tasks are of different kinds, over whose scores a mean "
          "says nothing. Rows are in the order of \"Held-in ÷ expert\": the mean over held-in tasks "
          "of a row's score as a multiple of the own expert's on that task (where lower is better, "
          "the other way round), in %; so a sweep chooses parameters, too. \"Held-out ÷ base\" is "
          "the same over held-out tasks and of the base's scores. ± is a 95 % confidence "
          "interval over test items; tasks, seeds and expert sets are taken as given. Over sets: "
          "the minimum and maximum over the means of single sets and seeds. The other scores are "
          "those of single tasks, means over sets and seeds: ↑ in %, ↓ unscaled, lower is better. "
          "Bold: the best of complete merging rows that give one model.",
      .columns = {{"Model", false, ""},
                  {"Held-in ÷ expert", true, "%, ± over items"},
                  {"over sets", true, "min…max"}},
      .groups = {}};
  for (const TaskColumn& task : tasks)
    table.columns.push_back(
        {fmt::format("{} {} {}{}", short_task_name(board, task.task), task.metric,
                     lower_is_better(task.metric) ? "↓" : "↑", task.held_in ? "" : ", held-out"),
         true, is_fraction(task.metric) ? "%" : "lower is better"});
  table.columns.push_back({"Held-out ÷ base", true, "task by task, %"});
  const size_t merge_time = add_last_columns(board, table);
  table.groups = grouped(board, [&](const LeaderboardRow& row) {
    const RowScores& relative = row.scores.at(kRelativeScore);
    std::vector<TableCell> cells{row_cell(row), estimate_cell(relative.held_in),
                                 range_cell(relative.held_in)};
    for (const TaskColumn& task : tasks) {
      const auto score = task.of(row);
      cells.push_back({.text = score ? score_text(task.metric, *score) : std::string(kNotAvailable),
                       .sort = score});
    }
    cells.push_back(plain_estimate_cell(relative.held_out));
    add_last_cells(board, row, cells);
    return cells;
  });
  use_common_units(table);
  constexpr size_t kFirstTask = 3;
  mark_best(table, board, 1, false);
  for (size_t i = 0; i < tasks.size(); ++i)
    mark_best(table, board, kFirstTask + i, lower_is_better(tasks[i].metric));
  mark_best(table, board, kFirstTask + tasks.size(), false);
  mark_best(table, board, merge_time, true);
  return table;
}

std::vector<Table> leaderboard_tables(const Leaderboard& board) {
  if (board.has_mixed_kinds()) return {mixed_leaderboard_table(board)};
  std::vector<Table> tables;
  for (const std::string& metric : board.metrics)
    tables.push_back(leaderboard_table(board, metric));
  return tables;
}

}  // namespace assay
