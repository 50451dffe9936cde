#include <fmt/format.h>

#include <algorithm>

#include "harness/core/metrics.h"
#include "reports/internal/format.h"
#include "reports/internal/row_cells.h"

namespace assay {
namespace {

struct Shades {
  double low = 1e300, high = -1e300;
  double of(double value) const { return high > low ? (value - low) / (high - low) : 0.5; }
};

// The length of the common "SUITE/" prefix when all tasks are of one suite.
size_t common_prefix(const std::vector<std::string>& tasks) {
  const size_t slash = tasks.empty() ? std::string::npos : tasks.front().find('/');
  if (slash == std::string::npos) return 0;
  const std::string prefix = tasks.front().substr(0, slash + 1);
  const bool shared = std::all_of(tasks.begin(), tasks.end(), [&](const std::string& task) {
    return task.starts_with(prefix);
  });
  return shared ? prefix.size() : 0;
}

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
template <typename Wanted>
TableCell heat_cell(const LeaderboardRow& row, const std::string& metric, const Shades& range,
                    Wanted&& wanted) {
  double sum = 0;
  int count = 0;
  bool held_in = false;
  for (const TaskScore& score : row.tasks.at(metric))
    if (wanted(score)) {
      sum += score.value;
      ++count;
      held_in = score.held_in;
    }
  if (count == 0) return {.text = std::string(kNotAvailable)};
  const double mean = sum / count;
  return {.text = score_text(metric, mean),
          .sort = mean,
          .heat = lower_is_better(metric) ? 1 - range.of(mean) : range.of(mean),
          .outlined = held_in};
}

template <typename Wanted>
HeatMap heat_map(const Leaderboard& board, const std::string& metric, const std::string& view,
                 Wanted&& wanted) {
  HeatMap map{metric, view, {}};
  map.table.title = metric + ", " + view;
  map.table.columns.push_back({"Model", false, ""});
  const size_t prefix = common_prefix(board.tasks);
  for (const std::string& task : board.tasks)
    map.table.columns.push_back({task.substr(prefix), true, ""});
  map.table.groups.emplace_back();
  const Shades range = shades(board, metric);
  for (const LeaderboardRow& row : board.rows) {
    std::vector<TableCell> cells{name_cell(row)};
    bool any = false;
    for (const std::string& task : board.tasks) {
      cells.push_back(heat_cell(row, metric, range, [&](const TaskScore& score) {
        return score.task == task && wanted(score);
      }));
      any |= cells.back().heat.has_value();
    }
    if (any) map.table.groups[0].rows.push_back(std::move(cells));
  }
  return map;
}

}  // namespace

std::vector<HeatMap> heat_maps(const Leaderboard& board) {
  std::vector<HeatMap> maps;
  for (const std::string& metric : board.metrics) {
    for (const std::string& set : board.sets)
      maps.push_back(heat_map(board, metric, "set " + set,
                              [&](const TaskScore& score) { return score.set == set; }));
    if (board.sets.size() < 2) continue;
    maps.push_back(heat_map(board, metric, "mean over sets where held-in",
                            [](const TaskScore& score) { return score.held_in; }));
    maps.push_back(heat_map(board, metric, "mean over sets where held-out",
                            [](const TaskScore& score) { return !score.held_in; }));
  }
  for (size_t i = 0; i < maps.size(); ++i) maps[i].table.id = fmt::format("heat-{}", i);
  return maps;
}

}  // namespace assay
