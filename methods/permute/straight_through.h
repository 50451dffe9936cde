/// Matching by the loss of the networks' mean, through a straight-through estimator.
#pragma once

#include <cstdint>

#include "methods/permute/matching.h"

namespace assay {

struct StraightThroughOptions {
  int64_t steps = 250;
  double learning_rate = 1e-2;  ///< of SGD with momentum 0.9
  int64_t batch = 64;           ///< examples of each expert in a step
  int64_t max_sweeps = 100;     ///< of weight matching, in each step
};

/// Ainsworth et al., arXiv:2209.04836 §3.3: weights that begin as the first network's are matched
/// to the other's, and change by the gradient that the mean of the first and the reordered network
/// has, as if they were the latter. The orders are those of the step with the lowest loss, the mean
/// over experts of cross entropies of a batch. Needs labels. SkipCell for networks with BatchNorm:
/// the moments of a mean are not the mean of moments, so that its loss says nothing of the order.
Matching match_by_gradients(const UnitGroups& groups, const ModelJob& job, const StateDict& first,
                            const StateDict& other, uint64_t key,
                            const StraightThroughOptions& options);

}  // namespace assay
