#include "reports/internal/scaling.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "reports/internal/format.h"

namespace assay {
namespace {

using SetsByNumber = std::map<double, std::vector<std::string>>;

ScalingAxis number_axis(std::string key, std::string title, bool logarithmic,
                        const SetsByNumber& sets, std::string (*label)(double)) {
  ScalingAxis axis{std::move(key), std::move(title), logarithmic, {}};
  for (const auto& [number, names] : sets) axis.values.push_back({label(number), number, names});
  return axis;
}

ScalingAxis expert_axis(const Leaderboard& board) {
  SetsByNumber sets;
  for (const std::string& set : board.sets)
    sets[static_cast<double>(board.set_experts.at(set))].push_back(set);
  return number_axis("experts", "number of experts", false, sets, [](double count) {
    return fmt::format("{:.0f} expert{}", count, count == 1 ? "" : "s");
  });
}

ScalingAxis parameter_axis(const Leaderboard& board) {
  SetsByNumber sets;
  for (const auto& [set, parameters] : board.set_parameters)
    sets[static_cast<double>(parameters)].push_back(set);
  return number_axis("parameters", "size of models", true, sets, [](double count) {
    return fmt::format("{} parameters", cost_text(count, CostUnit::kFlops));
  });
}

ScalingAxis base_axis(const Leaderboard& board) {
  std::map<std::string, std::vector<std::string>> sets;
  for (const std::string& set : board.sets) sets[board.set_bases.at(set)].push_back(set);
  ScalingAxis axis{"base", "base", false, {}};
  for (const auto& [name, names] : sets)
    axis.values.push_back({name, static_cast<double>(axis.values.size()), names});
  return axis;
}

Json point_json(const LeaderboardRow& row, const std::string& metric,
                const ScalingAxis::Value& value, bool held_in) {
  const auto mean = mean_score(row, metric, [&](const TaskScore& score) {
    return score.held_in == held_in && value.contains(score);
  });
  return mean ? Json{{"value", *mean}, {"text", score_text(metric, *mean)}} : Json();
}

}  // namespace

bool ScalingAxis::Value::contains(const TaskScore& score) const {
  return std::find(sets.begin(), sets.end(), score.set) != sets.end();
}

std::vector<ScalingAxis> scaling_axes(const Leaderboard& board) {
  std::vector<ScalingAxis> axes{expert_axis(board), parameter_axis(board), base_axis(board)};
  std::erase_if(axes, [](const ScalingAxis& axis) { return axis.values.size() < 2; });
  return axes;
}

std::optional<double> mean_score(const LeaderboardRow& row, const std::string& metric,
                                 const std::function<bool(const TaskScore&)>& wanted) {
  double sum = 0;
  int count = 0;
  for (const TaskScore& score : row.tasks.at(metric))
    if (wanted(score)) {
      sum += score.value;
      ++count;
    }
  return count == 0 ? std::nullopt : std::optional(sum / count);
}

Json scaling_json(const Leaderboard& board) {
  Json all = Json::array();
  for (const ScalingAxis& axis : scaling_axes(board)) {
    Json json{{"axis", axis.key},
              {"title", axis.title},
              {"logarithmic", axis.logarithmic},
              {"values", Json::array()},
              {"rows", Json::object()}};
    for (const ScalingAxis::Value& value : axis.values)
      json["values"].push_back({{"label", value.label}, {"x", value.x}, {"sets", value.sets}});
    for (const std::string& metric : board.metrics) {
      Json& rows = json["rows"][metric] = Json::array();
      for (const LeaderboardRow& row : board.rows) {
        rows.push_back({{"label", row.label()}});
        for (const bool held_in : {true, false}) {
          Json& points = rows.back()[held_in ? "held_in" : "held_out"] = Json::array();
          for (const ScalingAxis::Value& value : axis.values)
            points.push_back(point_json(row, metric, value, held_in));
        }
      }
    }
    all.push_back(std::move(json));
  }
  return all;
}

}  // namespace assay
