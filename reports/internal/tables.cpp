#include "reports/internal/tables.h"

#include <fmt/format.h>

#include <algorithm>

#include "reports/internal/format.h"
#include "reports/internal/row_cells.h"

namespace assay {

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
