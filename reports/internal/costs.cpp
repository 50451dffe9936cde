#include "reports/internal/costs.h"

#include <algorithm>
#include <set>

namespace assay {
namespace {

void add(std::optional<Cost>& sum, const Cost& cost) {
  if (sum)
    *sum += cost;
  else
    sum = cost;
}

// The sum over the phases that the run has; absent when it has none of them.
std::optional<Cost> sum_phases(const RunRecord& run, const std::vector<std::string>& phases) {
  std::optional<Cost> sum;
  for (const auto& [phase, cost] : run.costs)
    if (phases.empty() || std::find(phases.begin(), phases.end(), phase) != phases.end())
      add(sum, cost);
  return sum;
}

std::optional<Cost> sum_statistics(const std::set<std::string>& keys,
                                   const StatisticsByKey& statistics) {
  std::optional<Cost> sum;
  for (const std::string& key : keys)
    if (const auto known = statistics.find(key); known != statistics.end())
      add(sum, known->second->cost);
  return sum;
}

std::optional<Cost> sum_statistics(const RunRecord& run, const StatisticsByKey& statistics) {
  return sum_statistics({run.statistics.begin(), run.statistics.end()}, statistics);
}

// All that the runs of one grid cost. Statistics of `paid` are charged elsewhere.
std::optional<Cost> sum_grid(const std::vector<const RunRecord*>& runs,
                             const std::set<std::string>& paid, const StatisticsByKey& statistics) {
  std::optional<Cost> sum;
  std::set<std::string> used;
  for (const RunRecord* run : runs) {
    if (const auto cost = sum_phases(*run, {})) add(sum, *cost);
    for (const std::string& key : run->statistics)
      if (!paid.contains(key)) used.insert(key);
  }
  if (const auto cost = sum_statistics(used, statistics)) add(sum, *cost);
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

CostValues mean_of_statistics(const std::vector<const RunRecord*>& runs,
                              const StatisticsByKey& statistics) {
  std::vector<Cost> costs;
  for (const RunRecord* run : runs)
    if (const auto cost = sum_statistics(*run, statistics)) costs.push_back(*cost);
  return mean(costs);
}

// The cost of the method alone: its own phases and all statistics that it used.
CostValues mean_of_merges(const std::vector<const RunRecord*>& runs,
                          const StatisticsByKey& statistics) {
  std::vector<Cost> costs;
  for (const RunRecord* run : runs)
    if (auto cost = sum_phases(*run, {"statistics", "merge", kSharedPhase})) {
      if (const auto used = sum_statistics(*run, statistics)) *cost += *used;
      costs.push_back(*cost);
    }
  return mean(costs);
}

std::optional<double> mean_shipped(const std::vector<const RunRecord*>& runs,
                                   const StatisticsByKey& statistics) {
  double sum = 0;
  int count = 0;
  for (const RunRecord* run : runs) {
    if (run->statistics.empty() || run->experts.empty()) continue;
    double bytes = 0;
    for (const std::string& key : run->statistics)
      if (const auto known = statistics.find(key); known != statistics.end())
        bytes += static_cast<double>(known->second->bytes);
    sum += bytes / static_cast<double>(run->experts.size());
    ++count;
  }
  return count > 0 ? std::optional(sum / count) : std::nullopt;
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

StatisticsByKey statistics_by_key(const SweepResults& results) {
  StatisticsByKey statistics;
  for (const StatisticRecord& statistic : results.statistics)
    statistics[statistic.key] = &statistic;
  return statistics;
}

RowCosts row_costs(const std::vector<const RunRecord*>& runs,
                   const std::vector<std::vector<const RunRecord*>>& grid_by_set,
                   const StatisticsByKey& statistics) {
  RowCosts costs;
  costs.statistics = mean_of_phases(runs, {"statistics", kSharedPhase});
  costs.calibration = mean_of_statistics(runs, statistics);
  costs.shipped_bytes = mean_shipped(runs, statistics);
  costs.merge = mean_of_merges(runs, statistics);
  costs.evaluation = mean_of_phases(runs, {"evaluation"});
  costs.total = costs.merge;
  costs.tuned = !grid_by_set.empty();
  if (!costs.tuned) return costs;

  std::set<std::string> paid;  // with the merges
  for (const RunRecord* run : runs) paid.insert(run->statistics.begin(), run->statistics.end());
  std::vector<Cost> tuning;
  for (const auto& grid : grid_by_set)
    if (const auto cost = sum_grid(grid, paid, statistics)) tuning.push_back(*cost);
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
