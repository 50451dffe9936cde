/// Agreement of predictions with the truth over a whole split. The values are not means of items;
/// the outcome of an item is the value plus its influence function (delta method).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/task/task.h"

namespace assay {

/// The label and the prediction of every item, classes 0, 1, ...
struct Classified {
  std::vector<int64_t> labels, predictions;
};

/// Macro F1: the mean over classes of 2 correct / (predicted + labelled). Classes that occur
/// neither as label nor as prediction do not count (as in scikit-learn).
MetricResult macro_f1(std::string metric, const Classified& items);

/// The correlation coefficient of labels and predictions: Matthews' for two classes, Gorodkin's R_K
/// for more. 0 when all labels, or all predictions, are equal.
MetricResult matthews(std::string metric, const Classified& items);

/// Pearson's r. Neither list may be constant.
MetricResult pearson(std::string metric, const std::vector<double>& x,
                     const std::vector<double>& y);

/// Spearman's rho: Pearson's r of the ranks; ties get the mean of their ranks.
MetricResult spearman(std::string metric, const std::vector<double>& x,
                      const std::vector<double>& y);

/// Mid-ranks in [0, 1]: the share of lower values plus half of that of equal ones.
std::vector<double> mid_ranks(const std::vector<double>& values);

}  // namespace assay
