/// What methods on task vectors (expert minus base) share: their terms, and DARE's random drop.
#pragma once

#include <cmath>
#include <vector>

#include "harness/core/hash.h"
#include "harness/kernels/task_vector/delta_merge.h"
#include "methods/dense/weights.h"
#include "methods/mergekit/l1_match.h"
#include "methods/mergekit/rules.h"

namespace assay {

/// One term per expert that does nothing but weigh.
inline std::vector<DeltaTerm> weighted_terms(const std::vector<double>& weights, size_t experts) {
  std::vector<DeltaTerm> terms(experts);
  const std::vector<double> factors = expert_weights(weights, experts);
  for (size_t i = 0; i < experts; ++i) terms[i].weight = static_cast<float>(factors[i]);
  return terms;
}

/// Terms as they are in a part: the rounding comes from its dtype.
inline std::vector<DeltaTerm> rounded_terms(std::vector<DeltaTerm> terms, Compute compute,
                                            const TensorJob& part) {
  for (DeltaTerm& term : terms) {
    term.rounding = rounding(compute, part.base);
    if (term.drop > 0 && term.rounding != DType::kFloat32)
      term.drop = mergekit::rounded_drop(term.drop, term.rounding);
  }
  return terms;
}

/// base + scale * reduced delta, of which merges that differ in the scale alone share the latter.
at::Tensor merge_sharing_delta(const TensorJob& part, const std::vector<DeltaTerm>& terms,
                               const DeltaRule& rule);

/// Of a sum of all terms, which are rounded; with `normalize` divided by the sum of the weights,
/// unless that is next to 0.
inline DeltaRule sum_rule(const std::vector<DeltaTerm>& terms, double scale, bool normalize,
                          DType dtype) {
  float sum = 0;
  for (const DeltaTerm& term : terms) sum += round_to(term.weight, dtype);
  sum = round_to(sum, dtype);
  return {.divisor = normalize && std::abs(sum) >= mergekit::kMinDivisor ? sum : 1.0F,
          .scale = static_cast<float>(scale),
          .rounding = dtype};
}

/// base + scale * sum of all terms.
inline at::Tensor add_terms(const TensorJob& part, const std::vector<DeltaTerm>& terms,
                            double scale, bool normalize, Compute compute) {
  const DType dtype = rounding(compute, part.base);
  return merge_sharing_delta(part, rounded_terms(terms, compute, part),
                             sum_rule(terms, scale, normalize, dtype));
}

/// The key of random drops, which all methods that drop share: of one seed they drop the same
/// entries, so that their scores differ by what else they do.
inline uint64_t drop_key(const auto& tensor, size_t expert) {
  return Hasher().text("drop").number(tensor.expert_key(expert)).low64();
}

inline constexpr std::string_view kNormalizeHelp =
    "divide the sum of the task vectors by the sum of the weights";

/// DARE, arXiv:2311.03099: each entry of a task vector is dropped with probability `drop`, and what
/// is left is scaled up to compensate.
struct RandomDrop {
  enum class Rescale { kInvKeep, kL1Match, kNone };

  double drop = 0.5;
  std::vector<double> drops{};
  Rescale rescale = Rescale::kInvKeep;

  void parameters(auto&& p) {
    p(drop,
      {.name = "drop",
       .range = {0, 1},
       .sweep = {0.1, 0.5, 0.9},
       .help = "probability that an entry of a task vector is dropped; at 1 nothing is left"});
    p(drops,
      {.name = "drops", .range = {0, 1}, .help = "a drop per expert; empty: drop for all of them"});
    p(rescale,
      {.name = "rescale",
       .choices = {"inv_keep", "l1_match", "none"},
       .help = "what is left is multiplied by 1 / (1 - drop) (inv_keep, the paper), so as to "
               "keep each tensor's L1 norm (l1_match, mergekit), or not at all (none)"});
  }

  void check(const ModelJob& job) const { check_list("drops", drops, job); }

  /// Makes every term of the tensor drop and rescale.
  void apply(const TensorParts& tensor, Compute compute, std::vector<DeltaTerm>& terms) const {
    bool any = false;
    for (size_t i = 0; i < terms.size(); ++i) {
      const double share = drops.empty() ? drop : drops[i];
      if (share == 0) continue;
      any = true;
      terms[i].drop = static_cast<float>(share);
      terms[i].key = drop_key(tensor, i);
      if (rescale == Rescale::kInvKeep && share < 1)
        terms[i].rescale = static_cast<float>(1 / (1 - share));
    }
    if (any && rescale == Rescale::kL1Match) mergekit::match_l1(tensor, compute, terms);
  }
};

}  // namespace assay
