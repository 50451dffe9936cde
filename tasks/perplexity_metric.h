/// Perplexities over a whole split: not means of items, but with outcomes per item (delta method).
#pragma once

#include <string>
#include <vector>

#include "harness/task/task.h"

namespace assay {

/// exp(m) with m = -(sum of log-likelihoods) / (sum of sizes).
MetricResult perplexity_of(std::string metric, const std::vector<double>& log_likelihoods,
                           const std::vector<double>& sizes);

/// Bits: m / ln 2.
MetricResult bits_of(std::string metric, const std::vector<double>& log_likelihoods,
                     const std::vector<double>& sizes);

}  // namespace assay
