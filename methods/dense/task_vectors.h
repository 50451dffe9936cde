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
  void apply(const TensorParts& tensor, std::vector<DeltaTerm>& terms) const {
    if (drop == 0) return;
    for (size_t i = 0; i < terms.size(); ++i) {
      terms[i].drop = static_cast<float>(drop);
      terms[i].key = tensor.expert_key(i);
      if (rescale == Rescale::kInvKeep && drop < 1)
        terms[i].rescale = static_cast<float>(1 / (1 - drop));
    }
    if (rescale == Rescale::kL1Match) match_l1(tensor, terms);
  }

 private:
  static void match_l1(const TensorParts& tensor, std::vector<DeltaTerm>& terms) {
    std::vector<double> whole(terms.size()), left(terms.size());
    tensor.for_each([&](const TensorJob& part) {
      for (size_t i = 0; i < terms.size(); ++i) {
        whole[i] += delta_l1_norm(part.base, part.experts[i], {});
        left[i] += delta_l1_norm(part.base, part.experts[i], terms[i], part.offset);
      }
    });
    // As in mergekit: tensors that hold next to nothing stay as they are.
    for (size_t i = 0; i < terms.size(); ++i)
      if (whole[i] >= 1e-7 && left[i] >= 1e-7)
        terms[i].rescale = static_cast<float>(whole[i] / left[i]);
  }
};

}  // namespace assay
