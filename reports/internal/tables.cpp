#include "reports/internal/tables.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "harness/core/metrics.h"
#include "reports/internal/format.h"

namespace assay {
namespace {

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

TableCell wall_cell(const CostValues& values) { return cost_cell(values, kCostFields.front()); }

// The number of a cell without its interval.
std::string number_of(const TableCell& cell) { return cell.text.substr(0, cell.text.find(" ±")); }

// Marks the best cells of a column among complete merges; equal texts are equally good.
void mark_best(Table& table, const Leaderboard& board, size_t column, bool less_is_better) {
  if (table.groups.empty()) return;
  auto& rows = table.groups.front().rows;  // merges come first
  const TableCell* best = nullptr;
  size_t compared = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!board.rows[i].is_merge() || board.rows[i].partial() || !rows[i][column].sort) continue;
    ++compared;
    const TableCell& cell = rows[i][column];
    if (!best || (less_is_better ? *cell.sort < *best->sort : *cell.sort > *best->sort))
      best = &cell;
  }
  if (compared < 2) return;
  const std::string text = number_of(*best);
  for (size_t i = 0; i < rows.size(); ++i)
    if (board.rows[i].is_merge() && !board.rows[i].partial() && number_of(rows[i][column]) == text)
      rows[i][column].best = true;
}

TableCell name_cell(const LeaderboardRow& row) {
  return {.text = row.name, .tag = row.variant == "reference" ? "" : row.variant};
}

// Says also whether the row is complete.
TableCell row_cell(const LeaderboardRow& row) {
  std::string note;
  if (row.sets_used == 0)
    note = "no result";
  else if (row.sets_used < row.sets_total)
    note = fmt::format("partial: {} of {} sets", row.sets_used, row.sets_total);
  else if (row.partial())
    note = fmt::format("partial: {} of {} runs", row.runs_ok, row.runs_total);
  TableCell cell = name_cell(row);
  cell.note = note;
  return cell;
}

std::string group_of(const LeaderboardRow& row) {
  if (row.is_merge()) return "Merging methods";
  return row.is_lone_expert() ? "Single experts" : "References";
}

// Rows in the leaderboard's order, in its three groups.
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
  Table table{.id = "leaderboard-" + metric,
              .title = "Leaderboard: " + metric,
              .intro = fmt::format(
                  "Scores {}. ± is a 95 % confidence interval over test items; tasks, seeds and "
                  "expert sets are taken as given. Over sets: the least and the greatest mean of "
                  "any one set and seed. Held-in: tasks that an expert of the set was trained on; "
                  "held-out: all others. Bold: the best of complete merging rows.",
                  is_fraction(metric) ? "in %" : "as they are, of which less is better"),
              .columns = {{"Model", false, ""},
                          {"Held-in", true, "± over items"},
                          {"over sets", true, "least…greatest"},
                          {"Held-out", true, "± over items"},
                          {"over sets", true, "least…greatest"},
                          {"Held-in ÷ expert", true, "task by task, %"},
                          {"Held-out ÷ base", true, "task by task, %"},
                          {"Sets", true, "with a result"},
                          {"Merge time", true, "wall, one merge", CostUnit::kSeconds},
                          {"Tuning time", true, "wall, per set", CostUnit::kSeconds}},
              .groups = {}};
  table.groups = grouped(board, [&](const LeaderboardRow& row) {
    const RowScores& s = row.scores.at(metric);
    const auto range = [](const Estimate& e) {
      return TableCell{.text = range_text(e),
                       .sort = e.spread ? std::optional(e.spread->low) : std::nullopt};
    };
    return std::vector<TableCell>{row_cell(row),
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
  });
  use_common_units(table);
  const bool less = lower_is_better(metric);
  for (const size_t score : {1, 3, 5, 6}) mark_best(table, board, score, less);
  mark_best(table, board, 8, true);
  return table;
}

Table per_set_table(const Leaderboard& board, const std::string& metric) {
  Table table{.id = "per-set-" + metric,
              .title = "Scores in each expert set: " + metric,
              .intro = fmt::format("Scores{}; ± is a 95 % confidence interval over test items.",
                                   is_fraction(metric) ? " in %" : ""),
              .columns = {{"Model", false, ""},
                          {"Set", false, ""},
                          {"Held-in", true, "± over items"},
                          {"Held-out", true, "± over items"},
                          {"Held-in ÷ expert", true, "task by task, %"},
                          {"Held-out ÷ base", true, "task by task, %"}},
              .groups = {},
              .names = 2};
  if (std::none_of(board.rows.begin(), board.rows.end(),
                   [](const LeaderboardRow& row) { return !row.by_set.empty(); }))
    return table;
  for (const LeaderboardRow& row : board.rows) {
    if (table.groups.empty() || table.groups.back().title != group_of(row))
      table.groups.push_back({group_of(row), {}});
    const auto& by_set = row.by_set.at(metric);
    for (const std::string& set : board.sets)
      if (const auto it = by_set.find(set); it != by_set.end())
        table.groups.back().rows.push_back({name_cell(row),
                                            {.text = set},
                                            plain_estimate_cell(it->second.held_in),
                                            plain_estimate_cell(it->second.held_out),
                                            plain_estimate_cell(it->second.held_in_normalised),
                                            plain_estimate_cell(it->second.held_out_normalised)});
  }
  return table;
}

Table comparison_table(const Leaderboard& board) {
  const std::string unit = is_fraction(board.primary()) ? "percentage points" : "";
  Table table{.id = "comparisons",
              .title = "Comparisons in pairs",
              .intro = fmt::format("Differences of {}{}, computed on the same "
                                   "test items; ± is the 95 % confidence interval over these "
                                   "items. An interval that "
                                   "leaves out 0 is marked *. The best row was picked for being "
                                   "best, so differences to it are a little too large.",
                                   board.primary(), unit.empty() ? "" : " in " + unit),
              .columns = {{"Model", false, ""},
                          {"Compared with", false, ""},
                          {"Held-in difference", true, unit},
                          {"Held-out difference", true, unit}},
              .groups = {{"", {}}},
              .names = 2};
  const auto cell = [](const Estimate& e) {
    const bool clear = e.ci && (e.ci->low > 0 || e.ci->high < 0);
    return TableCell{.text = difference_text(e) + (clear ? " *" : ""),
                     .sort = e.value,
                     .note = e.ci ? "95 %: " + ci_text(e) : ""};
  };
  for (const LeaderboardRow& row : board.rows)
    for (const Comparison& c : row.comparisons)
      table.groups[0].rows.push_back(
          {name_cell(row), {.text = c.against}, cell(c.held_in), cell(c.held_out)});
  return table;
}

Table cost_table(const Leaderboard& board) {
  Table table{.id = "costs",
              .title = "Costs",
              .intro =
                  "Merging (statistics included, and at their full cost where "
                  "another run had computed them) and evaluating: mean over runs. "
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
    if (row.is_lone_expert()) continue;  // they cost what the base costs
    if (table.groups.empty() || table.groups.back().title != group_of(row))
      table.groups.push_back({group_of(row), {}});
    const auto add = [&](const char* phase, const CostValues& values) {
      std::vector<TableCell> cells{name_cell(row), {.text = phase}};
      for (const CostField& field : shown) cells.push_back(cost_cell(values, field));
      table.groups.back().rows.push_back(std::move(cells));
    };
    if (row.is_merge()) {
      add("merge", row.costs.merge);
      add("of it statistics", row.costs.statistics);
    }
    if (row.costs.tuned) add("tuning", row.costs.tuning);
    add("evaluation", row.costs.evaluation);
  }
  use_common_units(table);
  return table;
}

Table configuration_table(const Leaderboard& board) {
  Table table{.id = "configurations",
              .title = "Parameters",
              .intro =
                  "Parameters that differ from the method's default or were tuned. Tuned ones "
                  "were chosen per set on validation splits of its held-in tasks. On the edge: at "
                  "the least or greatest value of the grid, beyond which better ones may lie.",
              .columns = {{"Model", false, ""},
                          {"Method", false, ""},
                          {"Sets", false, ""},
                          {"Parameters", false, ""},
                          {"On the edge", false, ""},
                          {"Tried", true, "configurations in the grid"}},
              .groups = {{"", {}}}};
  for (const LeaderboardRow& row : board.rows)
    for (const Configuration& c : row.configurations)
      table.groups[0].rows.push_back(
          {name_cell(row),
           {.text = row.preset.empty() ? row.method : row.method + "@" + row.preset},
           {.text = fmt::format("{}", fmt::join(c.sets, ", "))},
           {.text = parameters_text(c.notable), .note = canonical(c.parameters)},
           {.text = c.on_edge.empty() ? std::string(kNotAvailable)
                                      : fmt::format("{}", fmt::join(c.on_edge, ", ")),
            .warning = !c.on_edge.empty()},
           row.costs.tuned ? TableCell{.text = fmt::format("{}", row.grid_points),
                                       .sort = static_cast<double>(row.grid_points)}
                           : TableCell{.text = std::string(kNotAvailable)}});
  return table;
}

Table unnormalised_table(const Leaderboard& board) {
  Table table{.id = "unnormalised",
              .title = "Scores without a normalised value",
              .intro = fmt::format("The score to divide by is missing or below {}; these tasks are "
                                   "left out of the normalised means.",
                                   kLeastDenominator),
              .columns = {{"Model", false, ""}, {"Metric", false, ""}, {"Set: task", false, ""}},
              .groups = {{"", {}}}};
  for (const LeaderboardRow& row : board.rows)
    for (const std::string& metric : board.metrics)
      if (const auto& left_out = row.scores.at(metric).not_normalised; !left_out.empty())
        table.groups[0].rows.push_back({name_cell(row),
                                        {.text = metric},
                                        {.text = fmt::format("{}", fmt::join(left_out, "; "))}});
  return table;
}

}  // namespace assay
