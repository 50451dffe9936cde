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
  for (const double influence : influences)
    result.outcomes.push_back(static_cast<float>(value + influence));
  return result;
}

/// Shares of the items by class.
struct Shares {
  explicit Shares(const Classified& items) {
    const auto greatest = [](const std::vector<int64_t>& ids) {
      return *std::max_element(ids.begin(), ids.end());
    };
    const auto classes =
        static_cast<size_t>(std::max(greatest(items.labels), greatest(items.predictions)) + 1);
    labelled = predicted = right = std::vector<double>(classes, 0);
    const double one = 1 / static_cast<double>(items.labels.size());
    for (size_t i = 0; i < items.labels.size(); ++i) {
      const auto label = static_cast<size_t>(items.labels[i]);
      labelled[label] += one;
      predicted[static_cast<size_t>(items.predictions[i])] += one;
      if (items.labels[i] == items.predictions[i]) right[label] += one;
    }
  }
  std::vector<double> labelled, predicted, right;
};

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

/// c / sqrt(a b) and, per item, its change by those of its parts.
MetricResult correlation(std::string metric, double c, double a, double b,
                         const std::vector<double>& of_c, const std::vector<double>& of_a,
                         const std::vector<double>& of_b) {
  const double value = c / std::sqrt(a * b);
  std::vector<double> influences;
  for (size_t i = 0; i < of_c.size(); ++i)
    influences.push_back(of_c[i] / std::sqrt(a * b) - value / 2 * (of_a[i] / a + of_b[i] / b));
  return with_influences(std::move(metric), value, influences);
}

std::vector<size_t> ascending(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return values[a] < values[b]; });
  return order;
}

/// Per item: the sum of the weights of items whose value is below the item's, and half of those
/// whose value is equal.
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
  const Shares shares(items);
  double value = 0, classes = 0;
  std::vector<double> influences(items.labels.size(), 0);
  for (size_t k = 0; k < shares.labelled.size(); ++k) {
    const double marked = shares.labelled[k] + shares.predicted[k];
    if (marked == 0) continue;
    const double f1 = 2 * shares.right[k] / marked;
    value += f1;
    classes += 1;
    for (size_t i = 0; i < influences.size(); ++i) {
      const double label = items.labels[i] == static_cast<int64_t>(k) ? 1 : 0;
      const double prediction = items.predictions[i] == static_cast<int64_t>(k) ? 1 : 0;
      influences[i] += (2 * label * prediction - f1 * (label + prediction)) / marked;
    }
  }
  for (double& influence : influences) influence /= classes;
  return with_influences(std::move(metric), value / classes, influences);
}

MetricResult matthews(std::string metric, const Classified& items) {
  const Shares shares(items);
  const size_t n = items.labels.size();
  const double right = std::accumulate(shares.right.begin(), shares.right.end(), 0.0);
  const double by_chance = dot(shares.labelled, shares.predicted);
  const double labels = 1 - dot(shares.labelled, shares.labelled);
  const double predictions = 1 - dot(shares.predicted, shares.predicted);
  // With one class alone these are nothing but rounding.
  constexpr double kNothing = 1e-12;
  if (labels < kNothing || predictions < kNothing)
    return with_influences(std::move(metric), 0, std::vector<double>(n, 0));
  std::vector<double> of_c, of_labels, of_predictions;
  for (size_t i = 0; i < n; ++i) {
    const auto label = static_cast<size_t>(items.labels[i]);
    const auto prediction = static_cast<size_t>(items.predictions[i]);
    of_c.push_back((label == prediction ? 1 : 0) - right - shares.labelled[prediction] -
                   shares.predicted[label] + 2 * by_chance);
    of_labels.push_back(2 * (1 - labels - shares.labelled[label]));
    of_predictions.push_back(2 * (1 - predictions - shares.predicted[prediction]));
  }
  return correlation(std::move(metric), right - by_chance, labels, predictions, of_c, of_labels,
                     of_predictions);
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
  const double one = 1 / static_cast<double>(values.size());
  return weight_below(values, std::vector<double>(values.size(), one));
}

// An item changes the ranks of all others, too: with r and s the ranks less 1/2, it adds to the
// covariance r s, what it does to the r of greater x, and what it does to the s of greater y.
MetricResult spearman(std::string metric, const std::vector<double>& x,
                      const std::vector<double>& y) {
  const auto n = static_cast<double>(x.size());
  std::vector<double> r = mid_ranks(x), s = mid_ranks(y);
  for (double& rank : r) rank -= 0.5;
  for (double& rank : s) rank -= 0.5;
  // Ranks less 1/2 add up to nothing: what lies above an item is what lies below, negative.
  const std::vector<double> s_below_x = weight_below(x, s), r_below_y = weight_below(y, r);
  const std::vector<double> r_below_x = weight_below(x, r), s_below_y = weight_below(y, s);
  const double c = dot(r, s) / n, a = dot(r, r) / n, b = dot(s, s) / n;
  std::vector<double> of_c, of_a, of_b;
  for (size_t i = 0; i < x.size(); ++i) {
    of_c.push_back(r[i] * s[i] - (s_below_x[i] + r_below_y[i]) / n - 3 * c);
    of_a.push_back(r[i] * r[i] - 2 * r_below_x[i] / n - 3 * a);
    of_b.push_back(s[i] * s[i] - 2 * s_below_y[i] / n - 3 * b);
  }
  return correlation(std::move(metric), c, a, b, of_c, of_a, of_b);
}

}  // namespace assay
