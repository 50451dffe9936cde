#include "harness/core/metrics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace assay {

bool is_fraction(std::string_view metric) {
  return !metric.ends_with("perplexity") && metric != "bits_per_byte" && metric != "brier";
}

bool lower_is_better(std::string_view metric) { return !is_fraction(metric); }

std::string_view metric_kind(std::string_view metric) {
  return is_fraction(metric) ? "a fraction" : metric;
}

bool is_mean_of_items(std::string_view metric) {
  constexpr std::array<std::string_view, 5> kNoMeans{"bits_per_byte", "macro_f1", "matthews",
                                                     "pearson", "spearman"};
  return !metric.ends_with("perplexity") &&
         std::find(kNoMeans.begin(), kNoMeans.end(), metric) == kNoMeans.end();
}

std::optional<double> relative_score(std::string_view metric, double value, double reference) {
  if (lower_is_better(metric)) std::swap(value, reference);
  return reference < kMinDenominator ? std::nullopt : std::optional(value / reference);
}

std::optional<double> standard_error(std::string_view metric, const std::vector<double>& outcomes) {
  if (!is_mean_of_items(metric) || outcomes.size() < 2) return std::nullopt;
  const auto n = static_cast<double>(outcomes.size());
  double mean = 0, squares = 0;
  for (const double outcome : outcomes) mean += outcome / n;
  for (const double outcome : outcomes) squares += (outcome - mean) * (outcome - mean);
  return std::sqrt(squares / (n - 1) / n);
}

}  // namespace assay
