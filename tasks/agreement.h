/// How far predictions agree with the truth over a whole split: no means of items, but with
/// outcomes per item all the same, which are the value plus what the item adds to first order.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/task/task.h"

namespace assay {

/// Of classes 0, 1, ...: the label and the prediction of every item.
struct Classified {
  std::vector<int64_t> labels, predictions;
};

/// The mean over classes of 2 right / (predicted + labelled). Classes that are neither predicted
/// nor a label of any item do not count (as in scikit-learn).
MetricResult macro_f1(std::string metric, const Classified& items);

/// The correlation of labels and predictions: Matthews' for two classes, Gorodkin's R_K for more.
/// 0 when all labels, or all predictions, are the same.
MetricResult matthews(std::string metric, const Classified& items);

/// Pearson's r. Both lists must hold different values.
MetricResult pearson(std::string metric, const std::vector<double>& x,
                     const std::vector<double>& y);

/// Pearson's r of the ranks; equal values share the mean of theirs.
MetricResult spearman(std::string metric, const std::vector<double>& x,
                      const std::vector<double>& y);

/// The share of values below each, those equal to it counted half.
std::vector<double> mid_ranks(const std::vector<double>& values);

}  // namespace assay
