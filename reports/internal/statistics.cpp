#include "reports/internal/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace assay {
namespace {

constexpr double kNormal95 = 1.959963984540054;

double run_mean(const RunTerms& run) {
  double sum = 0;
  for (const TaskTerm& term : run) sum += term.value;
  return sum / static_cast<double>(run.size());
}

double set_mean(const std::vector<RunTerms>& runs) {
  double sum = 0;
  for (const RunTerms& run : runs) sum += run_mean(run);
  return sum / static_cast<double>(runs.size());
}

// A single run has no range.
std::optional<Interval> spread_of(const std::vector<double>& means) {
  if (means.size() < 2) return std::nullopt;
  const auto [least, greatest] = std::minmax_element(means.begin(), means.end());
  return Interval{*least, *greatest};
}

// The sums z_ti of the header comment, by task.
class ItemSums {
 public:
  void add(const RowTerms& row, double sign) {
    for (const auto& [set, runs] : row)
      for (const RunTerms& run : runs)
        for (const TaskTerm& term : run)
          add(term, sign / static_cast<double>(row.size() * runs.size() * run.size()));
  }

  std::optional<double> standard_error() const {
    double variance = 0;
    for (const auto& [task, items] : items_) {
      const auto n = static_cast<double>(items.size());
      if (!known_ || items.size() < 2) return std::nullopt;
      const double mean = std::accumulate(items.begin(), items.end(), 0.0) / n;
      double squares = 0;
      for (const double z : items) squares += (z - mean) * (z - mean);
      variance += squares / (n - 1) / n;
    }
    return std::sqrt(variance);
  }

 private:
  void add(const TaskTerm& term, double weight) {
    auto& items = items_.try_emplace(term.task, term.items.size()).first->second;
    known_ = known_ && !items.empty() && items.size() == term.items.size();
    if (!known_) return;
    for (size_t i = 0; i < items.size(); ++i) items[i] += weight * term.items[i];
  }

  std::map<std::string, std::vector<double>> items_;
  bool known_ = true;
};

std::optional<Interval> interval(double value, const ItemSums& sums) {
  const auto error = sums.standard_error();
  if (!error) return std::nullopt;
  return Interval{value - kNormal95 * *error, value + kNormal95 * *error};
}

}  // namespace

Estimate estimate(const RowTerms& row) {
  if (row.empty()) return {};
  Estimate result;
  double sum = 0;
  std::vector<double> means;
  for (const auto& [set, runs] : row) {
    sum += set_mean(runs);
    for (const RunTerms& run : runs) means.push_back(run_mean(run));
  }
  result.spread = spread_of(means);
  result.value = sum / static_cast<double>(row.size());
  ItemSums items;
  items.add(row, 1);
  result.ci = interval(*result.value, items);
  return result;
}

Estimate difference(const RowTerms& a, const RowTerms& b) {
  RowTerms common_a, common_b;
  for (const auto& [set, runs] : a)
    if (const auto other = b.find(set); other != b.end()) {
      common_a[set] = runs;
      common_b[set] = other->second;
    }
  if (common_a.empty()) return {};
  Estimate result;
  double sum = 0;
  std::vector<double> gains;
  for (const auto& [set, runs] : common_a) {
    gains.push_back(set_mean(runs) - set_mean(common_b.at(set)));
    sum += gains.back();
  }
  result.spread = spread_of(gains);
  result.value = sum / static_cast<double>(common_a.size());
  ItemSums items;
  items.add(common_a, 1);
  items.add(common_b, -1);
  result.ci = interval(*result.value, items);
  return result;
}

TaskTerm ratio_term(const TaskTerm& score, const TaskTerm& reference) {
  TaskTerm term{score.task, score.value / reference.value, {}};
  if (score.items.size() != reference.items.size()) return term;
  for (size_t i = 0; i < score.items.size(); ++i)
    term.items.push_back((score.items[i] - term.value * reference.items[i]) / reference.value);
  return term;
}

std::vector<size_t> pareto_front(const std::vector<OperatingPoint>& points) {
  std::vector<size_t> front;
  for (size_t i = 0; i < points.size(); ++i) {
    const bool beaten = std::any_of(points.begin(), points.end(), [&](const OperatingPoint& p) {
      return p.quality >= points[i].quality && p.cost <= points[i].cost &&
             (p.quality > points[i].quality || p.cost < points[i].cost);
    });
    if (!beaten) front.push_back(i);
  }
  std::stable_sort(front.begin(), front.end(),
                   [&](size_t a, size_t b) { return points[a].cost < points[b].cost; });
  return front;
}

}  // namespace assay
