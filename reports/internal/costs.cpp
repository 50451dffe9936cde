#include "reports/internal/costs.h"

#include <algorithm>

namespace assay {
namespace {

// The sum over the phases that the run has; absent when it has none of them.
std::optional<Cost> sum_phases(const RunRecord& run, const std::vector<std::string>& phases) {
  std::optional<Cost> sum;
  for (const auto& [phase, cost] : run.costs)
    if (phases.empty() || std::find(phases.begin(), phases.end(), phase) != phases.end()) {
      if (sum)
        *sum += cost;
      else
        sum = cost;
    }
  return sum;
}

std::optional<Cost> sum_runs(const std::vector<const RunRecord*>& runs) {
  std::optional<Cost> sum;
  for (const RunRecord* run : runs)
    if (const auto cost = sum_phases(*run, {})) {
      if (sum)
        *sum += *cost;
      else
        sum = cost;
    }
  return sum;
}

// A field that one of the costs lacks has no mean; the mean of peaks is the known maximum.
CostValues mean(const std::vector<Cost>& costs) {
  if (costs.empty()) return {};
  Cost sum = costs.front();
  for (size_t i = 1; i < costs.size(); ++i) sum += costs[i];
  CostValues values = cost_values(sum);
  for (size_t i = 0; i < values.size(); ++i)
    if (values[i] && !kCostFields[i].is_peak) *values[i] /= static_cast<double>(costs.size());
  return values;
}

CostValues mean_of_phases(const std::vector<const RunRecord*>& runs,
                          const std::vector<std::string>& phases) {
  std::vector<Cost> costs;
  for (const RunRecord* run : runs)
    if (const auto cost = sum_phases(*run, phases)) costs.push_back(*cost);
  return mean(costs);
}

}  // namespace

std::vector<CostField> shown_costs() {
  std::vector<CostField> shown;
  for (const CostField& field : kCostFields)
    if (std::none_of(kCostFields.begin(), kCostFields.end(),
                     [&](const CostField& own) { return own.whole == field.key; }))
      shown.push_back(field);
  return shown;
}

std::optional<double> cost_value(const CostValues& values, std::string_view key) {
  for (size_t i = 0; i < values.size(); ++i)
    if (kCostFields[i].key == key) return values[i];
  return std::nullopt;
}

CostValues cost_values(const Cost& cost) {
  const Json json = cost;
  CostValues values;
  for (size_t i = 0; i < values.size(); ++i)
    if (const Json& value = json.at(std::string(kCostFields[i].key)); !value.is_null())
      values[i] = value.get<double>();
  return values;
}

RowCosts row_costs(const std::vector<const RunRecord*>& runs,
                   const std::vector<std::vector<const RunRecord*>>& grid_by_set) {
  RowCosts costs;
  costs.statistics = mean_of_phases(runs, {"statistics", kSharedPhase});
  costs.merge = mean_of_phases(runs, {"statistics", "merge", kSharedPhase});
  costs.evaluation = mean_of_phases(runs, {"evaluation"});
  costs.total = costs.merge;
  costs.tuned = !grid_by_set.empty();
  if (!costs.tuned) return costs;

  std::vector<Cost> tuning;
  for (const auto& grid : grid_by_set)
    if (const auto cost = sum_runs(grid)) tuning.push_back(*cost);
  costs.tuning = mean(tuning);
  for (size_t i = 0; i < kCostFields.size(); ++i) {
    const auto &m = costs.merge[i], &t = costs.tuning[i];
    if (kCostFields[i].is_peak)
      costs.total[i] = std::max(m, t);  // when one is absent, the known one
    else
      costs.total[i] = m && t ? std::optional(*m + *t) : std::nullopt;
  }
  return costs;
}

}  // namespace assay
