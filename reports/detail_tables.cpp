#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "harness/core/metrics.h"
#include "reports/internal/format.h"
#include "reports/internal/row_cells.h"

namespace assay {

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
              .title = "Paired comparisons",
              .intro = fmt::format("Differences of {}{}, computed on the same "
                                   "test items; ± is the 95 % confidence interval over these "
                                   "items. An interval "
                                   "without 0 is marked *. The best row was selected by these "
                                   "scores, so differences to it are slightly overestimated.",
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

Table configuration_table(const Leaderboard& board) {
  Table table{.id = "configurations",
              .title = "Parameters",
              .intro =
                  "Parameters that differ from the method's default or were tuned. Tuned ones "
                  "were chosen per set on validation splits of its held-in tasks. On the edge: at "
                  "the minimum or maximum of the grid; better values may be outside it.",
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

Table size_table(const Leaderboard& board) {
  Table table{.id = "sizes",
              .title = "Model sizes",
              .intro =
                  "Experts of a mixture that are equal count once. Active: the parameters that "
                  "one token is multiplied by. FLOPs: of the layers' products for one token (of an "
                  "image model, one image), without those of attention; of a routed ensemble, "
                  "of the members that answer, the largest ones. Means over runs.",
              .columns = {{"Model", false, ""},
                          {"Parameters", true, "", CostUnit::kCount},
                          {"Active", true, "", CostUnit::kCount},
                          {"Stored", true, "", CostUnit::kBytes},
                          {"FLOPs per token", true, "", CostUnit::kCount}},
              .groups = {}};
  const bool with_routers =
      std::any_of(board.rows.begin(), board.rows.end(),
                  [](const LeaderboardRow& row) { return row.size && row.size->router_flops; });
  if (with_routers)
    table.columns.push_back({"Router's FLOPs", true,
                             "for one token of a prompt: the passes over it by which a routed "
                             "ensemble decides",
                             CostUnit::kCount});
  for (const LeaderboardRow& row : board.rows) {
    if (!row.size) continue;
    if (table.groups.empty() || table.groups.back().title != group_of(row))
      table.groups.push_back({group_of(row), {}});
    const auto cell = [](int64_t value, CostUnit unit) {
      return TableCell{.text = cost_text(static_cast<double>(value), unit),
                       .sort = static_cast<double>(value)};
    };
    const auto flops = [&](const std::optional<int64_t>& value) {
      return value ? cell(*value, CostUnit::kCount) : TableCell{.text = std::string(kNotAvailable)};
    };
    auto& cells = table.groups.back().rows.emplace_back(
        std::vector<TableCell>{name_cell(row), cell(row.size->parameters, CostUnit::kCount),
                               cell(row.size->active, CostUnit::kCount),
                               cell(row.size->bytes, CostUnit::kBytes), flops(row.size->flops)});
    if (with_routers) cells.push_back(flops(row.size->router_flops));
  }
  use_common_units(table);
  return table;
}

Table unnormalised_table(const Leaderboard& board) {
  Table table{.id = "unnormalised",
              .title = "Scores without a normalised value",
              .intro = fmt::format("The reference is missing or the denominator below {}; these "
                                   "tasks are left out of the normalised means.",
                                   kMinDenominator),
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
