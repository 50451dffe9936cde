#include "reports/internal/tables.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/core/metrics.h"
#include "reports/internal/format.h"
#include "reports/internal/row_cells.h"

namespace assay {
namespace {

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

// The name, with a note when the row is not complete.
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

}  // namespace

std::string full_text(const TableCell& cell) {
  return cell.tag.empty() ? cell.text : fmt::format("{} ({})", cell.text, cell.tag);
}

bool Table::empty() const {
  return std::all_of(groups.begin(), groups.end(),
                     [](const RowGroup& group) { return group.rows.empty(); });
}

void use_common_units(Table& table) {
  for (size_t column = 0; column < table.columns.size(); ++column) {
    const auto unit = table.columns[column].unit;
    if (!unit) continue;
    std::vector<double> values;
    for (const RowGroup& group : table.groups)
      for (const auto& row : group.rows)
        if (row[column].cost) values.push_back(*row[column].cost);
    if (values.empty()) continue;
    const Scale scale = common_scale(values, *unit);
    if (!scale.name.empty()) table.columns[column].title += fmt::format(" ({})", scale.name);
    for (RowGroup& group : table.groups)
      for (auto& row : group.rows)
        if (row[column].cost) row[column].text = scaled_text(row[column].cost, scale, *unit);
  }
}

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
                  {"Held-out ÷ base", true, "task by task, %"},
                  {"Sets", true, "with a result"},
                  {"Merge time", true, "wall, one merge", CostUnit::kSeconds},
                  {"Tuning time", true, "wall, per set", CostUnit::kSeconds}},
      .groups = {}};
  const bool calibrated = std::any_of(board.rows.begin(), board.rows.end(),
                                      [](const auto& row) { return !row.calibrations.empty(); });
  if (calibrated) {
    table.columns.push_back(
        {"Calibration time", true, "wall, statistics; part of the merge time", CostUnit::kSeconds});
    table.columns.push_back({"Shipped", true, "statistics, per expert", CostUnit::kBytes});
  }
  table.groups = grouped(board, [&](const LeaderboardRow& row) {
    const RowScores& s = row.scores.at(metric);
    const auto range = [](const Estimate& e) {
      return TableCell{.text = range_text(e),
                       .sort = e.spread ? std::optional(e.spread->low) : std::nullopt};
    };
    std::vector<TableCell> cells{row_cell(row),
                                 estimate_cell(s.held_in),
                                 range(s.held_in),
                                 estimate_cell(s.held_out),
                                 range(s.held_out),
                                 plain_estimate_cell(s.held_in_normalised),
                                 plain_estimate_cell(s.held_out_normalised),
                                 {.text = fmt::format("{}/{}", row.sets_used, row.sets_total),
                                  .sort = static_cast<double>(row.sets_used)},
                                 wall_cell(row.costs.merge),
                                 wall_cell(row.costs.tuning)};
    if (row.is_transductive()) {
      cells[0].note += fmt::format("{}transductive: calibrated on the test split",
                                   cells[0].note.empty() ? "" : "; ");
      cells[0].warning = true;
    }
    if (calibrated) {
      cells.push_back(wall_cell(row.costs.calibration));
      cells.push_back(shipped_cell(row));
    }
    return cells;
  });
  use_common_units(table);
  const bool less = lower_is_better(metric);
  for (const size_t score : {1, 3}) mark_best(table, board, score, less);
  for (const size_t normalised : {5, 6}) mark_best(table, board, normalised, false);
  mark_best(table, board, 8, true);
  return table;
}

Table cost_table(const Leaderboard& board) {
  Table table{.id = "costs",
              .title = "Costs",
              .intro =
                  "Merging (statistics and calibration included, and at their full cost where "
                  "another run had computed them) and evaluating: mean over runs. "
                  "Calibration: the statistics of the experts' data that the method used. "
                  "Tuning: all runs of the grid, their validation included, per "
                  "set. Own peak memory is the most that the process held during "
                  "the phase, less what it held when the phase began: models and "
                  "buffers that were in memory before are not in it, even where "
                  "they are used again; of several runs the maximum. The peak of "
                  "the whole process is in the CSV and JSON forms. n/a: operations "
                  "that could not be counted, or memory of which an earlier "
                  "version stored the peak of the whole process alone; –: not "
                  "measured or not applicable, never zero.",
              .columns = {{"Model", false, ""}, {"Phase", false, ""}},
              .groups = {},
              .names = 2};
  const std::vector<CostField> shown = shown_costs();
  for (const CostField& field : shown)
    table.columns.push_back({std::string(field.title), true, "", field.unit});
  for (const LeaderboardRow& row : board.rows) {
    if (row.is_single_expert()) continue;  // they cost what the base costs
    if (table.groups.empty() || table.groups.back().title != group_of(row))
      table.groups.push_back({group_of(row), {}});
    const auto add = [&](const char* phase, const CostValues& values) {
      std::vector<TableCell> cells{name_cell(row), {.text = phase}};
      for (const CostField& field : shown) cells.push_back(cost_cell(values, field));
      table.groups.back().rows.push_back(std::move(cells));
    };
    if (row.is_merge()) {
      add("merge", row.costs.merge);
      if (!row.calibrations.empty()) add("of it calibration", row.costs.calibration);
      add("of it statistics", row.costs.statistics);
    }
    if (row.costs.tuned) add("tuning", row.costs.tuning);
    add("evaluation", row.costs.evaluation);
  }
  use_common_units(table);
  return table;
}

}  // namespace assay
