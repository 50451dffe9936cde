#include "tasks/perplexity_metric.h"

#include <cmath>
#include <numbers>
#include <numeric>

namespace assay {
namespace {

// The value of a function of m = -L / W. The outcome of an item is the value plus its influence
// (delta method), slope n (-l_i - m w_i) / W. The influences sum to 0.
template <typename Function>
MetricResult ratio_metric(std::string metric, const std::vector<double>& log_likelihoods,
                          const std::vector<double>& sizes, Function&& value_and_slope) {
  const double total = std::accumulate(sizes.begin(), sizes.end(), 0.0);
  const double m = -std::accumulate(log_likelihoods.begin(), log_likelihoods.end(), 0.0) / total;
  const auto [value, slope] = value_and_slope(m);
  const auto n = static_cast<double>(sizes.size());
  MetricResult result{std::move(metric), value, {}};
  for (size_t i = 0; i < sizes.size(); ++i)
    result.outcomes.push_back(value + slope * n * (-log_likelihoods[i] - m * sizes[i]) / total);
  return result;
}

}  // namespace

MetricResult perplexity_of(std::string metric, const std::vector<double>& log_likelihoods,
                           const std::vector<double>& sizes) {
  return ratio_metric(std::move(metric), log_likelihoods, sizes,
                      [](double m) { return std::pair(std::exp(m), std::exp(m)); });
}

MetricResult bits_of(std::string metric, const std::vector<double>& log_likelihoods,
                     const std::vector<double>& sizes) {
  return ratio_metric(std::move(metric), log_likelihoods, sizes, [](double m) {
    return std::pair(m / std::numbers::ln2, 1 / std::numbers::ln2);
  });
}

}  // namespace assay
