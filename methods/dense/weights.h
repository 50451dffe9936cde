/// A weight per expert, as many dense methods take.
#pragma once

#include <numeric>
#include <vector>

#include "harness/core/error.h"
#include "harness/method/method.h"

namespace assay {

inline constexpr std::string_view kWeightsHelp =
    "a weight per expert, in the order of the merge; empty: all equal";

/// UserError unless there is one weight per expert or none at all.
inline void check_weights(const std::vector<double>& weights, const ModelJob& job) {
  if (!weights.empty() && weights.size() != job.num_experts())
    user_error("parameter 'weights' has {} entries for {} experts", weights.size(),
               job.num_experts());
}

/// Also UserError when the weights cannot be scaled to a sum of 1.
inline void check_normalizable(const std::vector<double>& weights, const ModelJob& job) {
  check_weights(weights, job);
  if (!weights.empty() && std::accumulate(weights.begin(), weights.end(), 0.0) == 0.0)
    user_error("parameter 'weights' sums to 0 and cannot be normalized");
}

/// One weight per expert: those given, or 1 each.
inline std::vector<double> expert_weights(const std::vector<double>& weights, size_t experts) {
  return weights.empty() ? std::vector<double>(experts, 1.0) : weights;
}

/// expert_weights() scaled to a sum of 1.
inline std::vector<double> normalized_weights(const std::vector<double>& weights, size_t experts) {
  std::vector<double> out = expert_weights(weights, experts);
  const double sum = std::accumulate(out.begin(), out.end(), 0.0);
  for (double& weight : out) weight /= sum;
  return out;
}

}  // namespace assay
