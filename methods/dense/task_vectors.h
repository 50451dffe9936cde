/// What methods on task vectors (expert minus base) share: their terms, and DARE's random drop.
#pragma once

#include <vector>

#include "harness/kernels/delta_merge.h"
#include "harness/kernels/delta_statistics.h"
#include "methods/dense/weights.h"

namespace assay {

/// One term per expert that does nothing but weigh.
inline std::vector<DeltaTerm> weighted_terms(const std::vector<double>& weights, size_t experts) {
  std::vector<DeltaTerm> terms(experts);
  const std::vector<double> factors = expert_weights(weights, experts);
  for (size_t i = 0; i < experts; ++i) terms[i].weight = static_cast<float>(factors[i]);
  return terms;
}

/// DARE, arXiv:2311.03099: each entry of a task vector is dropped with probability `drop`, and what
/// is left is scaled up to make good for it.
struct RandomDrop {
  enum class Rescale { kInvKeep, kL1Match, kNone };

  double drop = 0.5;
  Rescale rescale = Rescale::kInvKeep;

  void parameters(auto&& p) {
    p(drop,
      {.name = "drop",
       .range = {0, 1},
       .sweep = {0.1, 0.5, 0.9},
       .help = "probability that an entry of a task vector is dropped; at 1 nothing is left"});
    p(rescale,
      {.name = "rescale",
       .choices = {"inv_keep", "l1_match", "none"},
       .help = "what is left is multiplied by 1 / (1 - drop) (inv_keep, the paper), so as to "
               "keep each tensor's L1 norm (l1_match, mergekit), or not at all (none)"});
  }

  /// Makes every term of the tensor drop and rescale.
  void apply(const TensorJob& job, std::vector<DeltaTerm>& terms) const {
    if (drop == 0) return;
    for (size_t i = 0; i < terms.size(); ++i) {
      DeltaTerm dropped{.drop = static_cast<float>(drop), .key = job.expert_key(i)};
      if (rescale == Rescale::kInvKeep && drop < 1) {
        dropped.rescale = static_cast<float>(1 / (1 - drop));
      } else if (rescale == Rescale::kL1Match) {
        const double whole = delta_l1_norm(job.base, job.experts[i], {});
        const double left = delta_l1_norm(job.base, job.experts[i], dropped);
        // As in mergekit: tensors that hold next to nothing stay as they are.
        if (whole >= 1e-7 && left >= 1e-7) dropped.rescale = static_cast<float>(whole / left);
      }
      dropped.weight = terms[i].weight;
      terms[i] = dropped;
    }
  }
};

}  // namespace assay
