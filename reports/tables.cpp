#include "reports/tables.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "harness/core/metrics.h"
#include "reports/format.h"

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

TableCell cost_cell(const CostValues& values, std::string_view key) {
  for (size_t i = 0; i < values.size(); ++i)
    if (kCostFields[i].key == key)
      return {.text = cost_text(values[i], kCostFields[i].unit), .sort = values[i]};
  return {.text = std::string(kNotAvailable)};
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

Table leaderboard_table(const Leaderboard& board, const std::string& metric) {
  Table table{.id = "leaderboard-" + metric,
              .title = "Leaderboard: " + metric,
              .intro = fmt::format(
                  "Scores {}, with 95 % confidence intervals. Held-in: tasks that an expert "
                  "of the set was trained on; held-out: all others.",
                  is_fraction(metric) ? "in %" : "as they are, of which less is better"),
              .columns = {{"Model", false, ""},
                          {"Held-in", true, "mean over held-in tasks"},
                          {"Held-out", true, "mean over held-out tasks"},
                          {"Held-in ÷ expert", true, "each task ÷ own expert's score, %"},
                          {"Held-out ÷ base", true, "each task ÷ base's score, %"},
                          {"Held-in range", true, "least and greatest over sets and seeds"},
                          {"Held-out range", true, "least and greatest over sets and seeds"},
                          {"Sets", true, "sets with a result, of those the row belongs to"},
                          {"Merge time", true, "wall time of one merge"},
                          {"Tuning time", true, "wall time of the grid, per set"}},
              .groups = {}};
  table.groups = grouped(board, [&](const LeaderboardRow& row) {
    const RowScores& s = row.scores.at(metric);
    const auto range = [](const Estimate& e) {
      return TableCell{.text = range_text(e),
                       .sort = e.spread ? std::optional(e.spread->low) : std::nullopt};
    };
    return std::vector<TableCell>{row_cell(row),
                                  estimate_cell(s.held_in),
                                  estimate_cell(s.held_out),
                                  plain_estimate_cell(s.held_in_normalised),
                                  plain_estimate_cell(s.held_out_normalised),
                                  range(s.held_in),
                                  range(s.held_out),
                                  {.text = fmt::format("{}/{}", row.sets_used, row.sets_total),
                                   .sort = static_cast<double>(row.sets_used)},
                                  cost_cell(row.costs.merge, "wall_s"),
                                  cost_cell(row.costs.tuning, "wall_s")};
  });
  return table;
}

Table comparison_table(const Leaderboard& board) {
  const std::string unit = is_fraction(board.primary()) ? "percentage points" : "";
  Table table{.id = "comparisons",
              .title = "Comparisons in pairs",
              .intro = fmt::format("Differences of {}{}, computed on the same "
                                   "test items, with 95 % confidence intervals. An interval that "
                                   "leaves out 0 is marked *. The best row was picked for being "
                                   "best, so differences to it are a little too large.",
                                   board.primary(), unit.empty() ? "" : " in " + unit),
              .columns = {{"Model", false, ""},
                          {"Compared with", false, ""},
                          {"Held-in difference", true, unit},
                          {"Held-out difference", true, unit}},
              .groups = {{"", {}}}};
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
                  "Merging (statistics included, and at their full cost where another run had "
                  "computed them) and evaluating: mean over runs. Tuning: all runs "
                  "of the grid, their "
                  "validation included, per set. Peaks are maxima. – means not measured or "
                  "not applicable, never zero.",
              .columns = {{"Model", false, ""}, {"Phase", false, ""}},
              .groups = {}};
  for (const CostField& field : kCostFields)
    table.columns.push_back({std::string(field.title), true, ""});
  for (const LeaderboardRow& row : board.rows) {
    if (row.is_lone_expert()) continue;  // they cost what the base costs
    if (table.groups.empty() || table.groups.back().title != group_of(row))
      table.groups.push_back({group_of(row), {}});
    const auto add = [&](const char* phase, const CostValues& values) {
      std::vector<TableCell> cells{name_cell(row), {.text = phase}};
      for (const CostField& field : kCostFields) cells.push_back(cost_cell(values, field.key));
      table.groups.back().rows.push_back(std::move(cells));
    };
    if (row.is_merge()) {
      add("merge", row.costs.merge);
      add("of it statistics", row.costs.statistics);
    }
    if (row.costs.tuned) add("tuning", row.costs.tuning);
    add("evaluation", row.costs.evaluation);
  }
  return table;
}

Table configuration_table(const Leaderboard& board) {
  Table table{.id = "configurations",
              .title = "Parameters",
              .intro =
                  "Parameters that differ from the method's default or were tuned. Tuned ones "
                  "were chosen per set on validation splits of its held-in tasks.",
              .columns = {{"Model", false, ""},
                          {"Method", false, ""},
                          {"Sets", false, ""},
                          {"Parameters", false, ""},
                          {"Tried", true, "configurations in the grid"}},
              .groups = {{"", {}}}};
  for (const LeaderboardRow& row : board.rows)
    for (const Configuration& c : row.configurations)
      table.groups[0].rows.push_back(
          {name_cell(row),
           {.text = row.preset.empty() ? row.method : row.method + "@" + row.preset},
           {.text = fmt::format("{}", fmt::join(c.sets, ", "))},
           {.text = parameters_text(c.notable), .note = canonical(c.parameters)},
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
