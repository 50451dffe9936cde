#include "tasks/agreement.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "harness/core/mean.h"

namespace assay {
namespace {

MetricResult with_influences(std::string metric, double value,
                             const std::vector<double>& influences) {
  MetricResult result{std::move(metric), value, {}};
  for (const double influence : influences) result.outcomes.push_back(value + influence);
  return result;
}

/// Fractions of the items per class: with this label, with this prediction, and with both.
struct ClassFrequencies {
  explicit ClassFrequencies(const Classified& items) {
    const auto max_id = [](const std::vector<int64_t>& ids) {
      return *std::max_element(ids.begin(), ids.end());
    };
    const auto classes =
        static_cast<size_t>(std::max(max_id(items.labels), max_id(items.predictions)) + 1);
    label_rate = prediction_rate = correct = std::vector<double>(classes, 0);
    const double weight = 1 / static_cast<double>(items.labels.size());
    for (size_t i = 0; i < items.labels.size(); ++i) {
      const auto label = static_cast<size_t>(items.labels[i]);
      label_rate[label] += weight;
      prediction_rate[static_cast<size_t>(items.predictions[i])] += weight;
      if (items.labels[i] == items.predictions[i]) correct[label] += weight;
    }
  }
  std::vector<double> label_rate, prediction_rate, correct;
};

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

/// c / sqrt(a b) and, per item, its influence from the influences on c, a and b (delta method).
MetricResult correlation(std::string metric, double c, double a, double b,
                         const std::vector<double>& influence_c,
                         const std::vector<double>& influence_a,
                         const std::vector<double>& influence_b) {
  const double value = c / std::sqrt(a * b);
  std::vector<double> influences;
  for (size_t i = 0; i < influence_c.size(); ++i)
    influences.push_back(influence_c[i] / std::sqrt(a * b) -
                         value / 2 * (influence_a[i] / a + influence_b[i] / b));
  return with_influences(std::move(metric), value, influences);
}

std::vector<size_t> ascending(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return values[a] < values[b]; });
  return order;
}

/// Per item: the sum of the weights of items with a lower value, plus half of those with an equal
/// value.
std::vector<double> weight_below(const std::vector<double>& values,
                                 const std::vector<double>& weights) {
  const std::vector<size_t> order = ascending(values);
  std::vector<double> below(values.size());
  double before = 0;
  for (size_t begin = 0; begin < order.size();) {
    double equal = 0;
    size_t end = begin;
    for (; end < order.size() && values[order[end]] == values[order[begin]]; ++end)
      equal += weights[order[end]];
    for (size_t i = begin; i < end; ++i) below[order[i]] = before + equal / 2;
    before += equal;
    begin = end;
  }
  return below;
}

}  // namespace

MetricResult macro_f1(std::string metric, const Classified& items) {
  const ClassFrequencies frequencies(items);
  double value = 0, classes = 0;
  std::vector<double> influences(items.labels.size(), 0);
  for (size_t k = 0; k < frequencies.label_rate.size(); ++k) {
    const double denominator = frequencies.label_rate[k] + frequencies.prediction_rate[k];
    if (denominator == 0) continue;
    const double f1 = 2 * frequencies.correct[k] / denominator;
    value += f1;
    classes += 1;
    for (size_t i = 0; i < influences.size(); ++i) {
      const double label = items.labels[i] == static_cast<int64_t>(k) ? 1 : 0;
      const double prediction = items.predictions[i] == static_cast<int64_t>(k) ? 1 : 0;
      influences[i] += (2 * label * prediction - f1 * (label + prediction)) / denominator;
    }
  }
  for (double& influence : influences) influence /= classes;
  return with_influences(std::move(metric), value / classes, influences);
}

MetricResult matthews(std::string metric, const Classified& items) {
  const ClassFrequencies frequencies(items);
  const size_t n = items.labels.size();
  const double correct =
      std::accumulate(frequencies.correct.begin(), frequencies.correct.end(), 0.0);
  const double expected = dot(frequencies.label_rate, frequencies.prediction_rate);
  const double labels = 1 - dot(frequencies.label_rate, frequencies.label_rate);
  const double predictions = 1 - dot(frequencies.prediction_rate, frequencies.prediction_rate);
  // With a single class these are rounding errors.
  constexpr double kEpsilon = 1e-12;
  if (labels < kEpsilon || predictions < kEpsilon)
    return with_influences(std::move(metric), 0, std::vector<double>(n, 0));
  std::vector<double> influence_c, influence_labels, influence_predictions;
  for (size_t i = 0; i < n; ++i) {
    const auto label = static_cast<size_t>(items.labels[i]);
    const auto prediction = static_cast<size_t>(items.predictions[i]);
    influence_c.push_back((label == prediction ? 1 : 0) - correct -
                          frequencies.label_rate[prediction] - frequencies.prediction_rate[label] +
                          2 * expected);
    influence_labels.push_back(2 * (1 - labels - frequencies.label_rate[label]));
    influence_predictions.push_back(2 *
                                    (1 - predictions - frequencies.prediction_rate[prediction]));
  }
  return correlation(std::move(metric), correct - expected, labels, predictions, influence_c,
                     influence_labels, influence_predictions);
}

MetricResult pearson(std::string metric, const std::vector<double>& x,
                     const std::vector<double>& y) {
  const double mean_x = mean(x), mean_y = mean(y);
  std::vector<double> xy, xx, yy;
  for (size_t i = 0; i < x.size(); ++i) {
    xy.push_back((x[i] - mean_x) * (y[i] - mean_y));
    xx.push_back((x[i] - mean_x) * (x[i] - mean_x));
    yy.push_back((y[i] - mean_y) * (y[i] - mean_y));
  }
  const double covariance = mean(xy), variance_x = mean(xx), variance_y = mean(yy);
  for (size_t i = 0; i < x.size(); ++i) {
    xy[i] -= covariance;
    xx[i] -= variance_x;
    yy[i] -= variance_y;
  }
  return correlation(std::move(metric), covariance, variance_x, variance_y, xy, xx, yy);
}

std::vector<double> mid_ranks(const std::vector<double>& values) {
  const double weight = 1 / static_cast<double>(values.size());
  return weight_below(values, std::vector<double>(values.size(), weight));
}

// An item changes the ranks of all others, too. Let r and s be the centred ranks (minus 1/2). The
// influence on the covariance is r s plus the effects on the r of greater x and on the s of greater
// y.
MetricResult spearman(std::string metric, const std::vector<double>& x,
                      const std::vector<double>& y) {
  const auto n = static_cast<double>(x.size());
  std::vector<double> r = mid_ranks(x), s = mid_ranks(y);
  for (double& rank : r) rank -= 0.5;
  for (double& rank : s) rank -= 0.5;
  // Centred ranks sum to 0: the sum above an item is minus the sum below it.
  const std::vector<double> s_below_x = weight_below(x, s), r_below_y = weight_below(y, r);
  const std::vector<double> r_below_x = weight_below(x, r), s_below_y = weight_below(y, s);
  const double c = dot(r, s) / n, a = dot(r, r) / n, b = dot(s, s) / n;
  std::vector<double> influence_c, influence_a, influence_b;
  for (size_t i = 0; i < x.size(); ++i) {
    influence_c.push_back(r[i] * s[i] - (s_below_x[i] + r_below_y[i]) / n - 3 * c);
    influence_a.push_back(r[i] * r[i] - 2 * r_below_x[i] / n - 3 * a);
    influence_b.push_back(s[i] * s[i] - 2 * s_below_y[i] / n - 3 * b);
  }
  return correlation(std::move(metric), c, a, b, influence_c, influence_a, influence_b);
}

}  // namespace assay
