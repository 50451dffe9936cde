/// Properties of a metric, by its name: its direction (higher or lower is better) and its unit.
/// Task kinds, tuning and reports use them.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace assay {

/// Fractions in [0, 1] and correlations in [-1, 1] (spearman, pearson, matthews), shown in %.
/// Perplexities, bits per byte and Brier scores are shown as they are.
bool is_fraction(std::string_view metric);

/// Lower is better for every metric that is not a fraction.
bool lower_is_better(std::string_view metric);

/// Scores of one kind have a mean that says something: fractions, or one perplexity. "a fraction",
/// or the metric's own name.
std::string_view metric_kind(std::string_view metric);

/// Whether the value is the mean of the items' own values. The outcomes of others (perplexities,
/// correlations, macro_f1) are an item's contribution to the value.
bool is_mean_of_items(std::string_view metric);

/// The standard error of a metric that is the mean of its items' outcomes, as lm-evaluation-harness
/// gives it: the sample's standard deviation (n - 1) divided by the root of n. Absent for other
/// metrics and for fewer than two items.
std::optional<double> standard_error(std::string_view metric, const std::vector<double>& outcomes);

/// The smallest denominator of a relative score.
inline constexpr double kMinDenominator = 0.01;

/// A score as a multiple of a reference's, above 1 where it is better: value / reference, or
/// reference / value where lower is better. Absent where the denominator is below kMinDenominator.
/// Unlike scores themselves, these can be averaged over metrics of different kinds.
std::optional<double> relative_score(std::string_view metric, double value, double reference);

/// The value, negated where lower is better, so that higher is always better.
inline double merit(std::string_view metric, double value) {
  return lower_is_better(metric) ? -value : value;
}

}  // namespace assay
