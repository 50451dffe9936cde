#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>

#include "harness/core/metrics.h"
#include "reports/internal/format.h"
#include "reports/internal/row_cells.h"
#include "reports/internal/scaling.h"

namespace assay {
namespace {

struct Shades {
  double low = 1e300, high = -1e300;
  double of(double value) const { return high > low ? (value - low) / (high - low) : 0.5; }
};

Shades shades(const Leaderboard& board, const std::string& metric) {
  Shades range;
  for (const LeaderboardRow& row : board.rows)
    for (const TaskScore& score : row.tasks.at(metric)) {
      range.low = std::min(range.low, score.value);
      range.high = std::max(range.high, score.value);
    }
  return range;
}

// The mean over the row's scores for which `wanted` holds; an empty cell when there is none.
TableCell heat_cell(const LeaderboardRow& row, const std::string& metric, const Shades& range,
                    const std::function<bool(const TaskScore&)>& wanted) {
  const auto mean = mean_score(row, metric, wanted);
  if (!mean) return {.text = std::string(kNotAvailable)};
  const auto& scores = row.tasks.at(metric);
  const auto last = std::find_if(scores.rbegin(), scores.rend(), wanted);
  return {.text = score_text(metric, *mean),
          .sort = *mean,
          .heat = lower_is_better(metric) ? 1 - range.of(*mean) : range.of(*mean),
          .outlined = last->held_in};
}

/// A column: the mean of the scores that it is of.
struct ScoreGroup {
  std::string title;
  std::function<bool(const TaskScore&)> contains;
};

HeatMap heat_map(const Leaderboard& board, const std::string& metric, const std::string& view,
                 const std::vector<ScoreGroup>& groups) {
  HeatMap map{metric, view, {}};
  map.table.title = metric + ", " + view;
  map.table.columns.push_back({"Model", false, ""});
  for (const ScoreGroup& group : groups) map.table.columns.push_back({group.title, true, ""});
  map.table.groups.emplace_back();
  const Shades range = shades(board, metric);
  for (const LeaderboardRow& row : board.rows) {
    std::vector<TableCell> cells{name_cell(row)};
    bool any = false;
    for (const ScoreGroup& group : groups) {
      cells.push_back(heat_cell(row, metric, range, group.contains));
      any |= cells.back().heat.has_value();
    }
    if (any) map.table.groups[0].rows.push_back(std::move(cells));
  }
  return map;
}

/// A column for each task, of the scores for which `wanted` holds.
std::vector<ScoreGroup> by_task(const Leaderboard& board,
                                const std::function<bool(const TaskScore&)>& wanted) {
  std::vector<ScoreGroup> groups;
  for (const std::string& task : board.tasks)
    groups.push_back({short_task_name(board, task), [task, wanted](const TaskScore& score) {
                        return score.task == task && wanted(score);
                      }});
  return groups;
}

/// Two columns, held-in and held-out.
void add_pair(const std::string& title, const std::function<bool(const TaskScore&)>& contains,
              std::vector<ScoreGroup>& groups) {
  for (const bool held_in : {true, false})
    groups.push_back({fmt::format("{}, {}", title, held_in ? "held-in" : "held-out"),
                      [contains, held_in](const TaskScore& score) {
                        return score.held_in == held_in && contains(score);
                      }});
}

/// A pair for each family of tasks; none where there is one family.
std::vector<ScoreGroup> by_family(const Leaderboard& board) {
  std::set<std::string> families;
  for (const auto& [task, family] : board.families) families.insert(family);
  std::vector<ScoreGroup> groups;
  if (families.size() < 2) return groups;
  for (const std::string& family : families)
    add_pair(
        family.empty() ? "no family" : family,
        [&board, family](const TaskScore& score) {
          return board.families.at(score.task) == family;
        },
        groups);
  return groups;
}

/// How scores depend on the families of tasks and on what sets differ in.
void add_means(const Leaderboard& board, const std::string& metric, std::vector<HeatMap>& maps) {
  const auto add = [&](const std::string& view, const std::vector<ScoreGroup>& groups) {
    if (groups.empty()) return;
    maps.push_back(heat_map(board, metric, view, groups));
    maps.back().table.intro = "Means over tasks and sets.";
  };
  add("by family of tasks", by_family(board));
  for (const ScalingAxis& axis : scaling_axes(board)) {
    std::vector<ScoreGroup> groups;
    for (const ScalingAxis::Value& value : axis.values)
      add_pair(
          value.label, [value](const TaskScore& score) { return value.contains(score); }, groups);
    add("by " + axis.title, groups);
  }
}

}  // namespace

std::vector<HeatMap> heat_maps(const Leaderboard& board) {
  std::vector<HeatMap> maps;
  for (const std::string& metric : board.metrics) {
    for (const std::string& set : board.sets)
      maps.push_back(
          heat_map(board, metric, "set " + set,
                   by_task(board, [&](const TaskScore& score) { return score.set == set; })));
    if (board.sets.size() > 1) {
      maps.push_back(
          heat_map(board, metric, "mean over sets where held-in",
                   by_task(board, [](const TaskScore& score) { return score.held_in; })));
      maps.push_back(
          heat_map(board, metric, "mean over sets where held-out",
                   by_task(board, [](const TaskScore& score) { return !score.held_in; })));
    }
    add_means(board, metric, maps);
  }
  for (size_t i = 0; i < maps.size(); ++i) maps[i].table.id = fmt::format("heat-{}", i);
  return maps;
}

}  // namespace assay
