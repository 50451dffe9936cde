#include "methods/dense/trim_elect.h"

#include <ATen/core/Tensor.h>

#include <algorithm>

#include "harness/kernels/kth_magnitude.h"

namespace assay {

std::vector<DeltaTerm> TrimElect::untrimmed(const TensorParts& tensor) const {
  std::vector<DeltaTerm> terms = weighted_terms(weights, tensor.num_experts());
  before.apply(tensor, terms);
  return terms;
}

int64_t TrimElect::threshold_rank(int64_t count) const {
  const auto share = static_cast<int64_t>(density * static_cast<double>(count));
  if (rule == TrimRule::kKthGe) return count - share;
  const int64_t kept = std::clamp<int64_t>(share, 1, std::max<int64_t>(count, 1));
  return kept >= count ? 0 : count - kept + 1;
}

std::vector<TrimElect::Threshold> TrimElect::find_thresholds(
    const std::vector<TensorParts>& tensors) const {
  const size_t experts = tensors.front().num_experts();
  std::vector<std::vector<DeltaTerm>> terms;
  for (const TensorParts& tensor : tensors) terms.push_back(untrimmed(tensor));
  std::vector<KthMagnitude> selections(experts);
  const auto feed_all = [&] {
    for (size_t k = 0; k < tensors.size(); ++k)
      tensors[k].for_each([&](const TensorJob& part) {
        for (size_t i = 0; i < experts; ++i)
          selections[i].feed(part.base, part.experts[i], terms[k][i], part.offset);
      });
  };
  std::vector<Threshold> thresholds(experts);
  feed_all();
  const int64_t count = selections.front().count(), rank = threshold_rank(count);
  if (rank == 0) return thresholds;
  for (KthMagnitude& selection : selections) selection.start_second_pass(rank);
  feed_all();
  for (size_t i = 0; i < experts; ++i) {
    thresholds[i].bits = selections[i].bits();
    if (rule != TrimRule::kExactCount) continue;
    const int64_t ties = selections[i].below() + selections[i].equal() - (rank - 1);
    // Zeros never count, however many of them are kept.
    if (ties < selections[i].equal() && thresholds[i].bits != 0) thresholds[i].ties = ties;
  }
  return thresholds;
}

std::vector<int64_t> TrimElect::tie_ends(const TensorParts& tensor,
                                         const std::vector<DeltaTerm>& untrimmed,
                                         const std::vector<Threshold>& thresholds,
                                         std::vector<int64_t>& left) {
  std::vector<int64_t> ends(thresholds.size(), DeltaTerm{}.tie_end);
  std::vector<bool> found(thresholds.size());
  for (size_t i = 0; i < thresholds.size(); ++i) found[i] = thresholds[i].ties < 0;
  if (std::find(found.begin(), found.end(), false) == found.end()) return ends;
  tensor.for_each([&](const TensorJob& part) {
    for (size_t i = 0; i < thresholds.size(); ++i) {
      if (found[i]) continue;
      const TieEnd end = find_tie_end(part.base, part.experts[i], untrimmed[i], thresholds[i].bits,
                                      left[i], part.offset);
      left[i] -= end.found;
      ends[i] = end.end;
      found[i] = end.end != DeltaTerm{}.tie_end;
    }
  });
  return ends;
}

void TrimElect::prepare(const ModelJob& job) {
  check_weights(weights, job);
  prepared_.clear();
  model_tie_ends_.clear();
  if (job.names().empty()) return;
  if (trims() && scope == Scope::kModel) {
    std::vector<TensorParts> tensors;
    for (const std::string& name : job.names()) tensors.push_back(job.parts(name));
    model_thresholds_ = find_thresholds(tensors);
    std::vector<int64_t> left;
    for (const Threshold& threshold : model_thresholds_) left.push_back(threshold.ties);
    if (std::any_of(left.begin(), left.end(), [](int64_t ties) { return ties >= 0; }))
      for (const TensorParts& tensor : tensors)
        model_tie_ends_[tensor.name()] =
            tie_ends(tensor, untrimmed(tensor), model_thresholds_, left);
  }
  if (tie != Tie::kGlobalMajority) return;
  int64_t signs = 0;
  for (const std::string& name : job.names()) {
    const TensorParts tensor = job.parts(name);
    const std::vector<DeltaTerm>& terms = prepared_[name] = trimmed(tensor);
    tensor.for_each([&](const TensorJob& part) {
      signs += elected_sign_sum(part.base, part.experts, terms, elect, part.offset);
    });
  }
  // The paper's code lets a majority of 0 pass as negative.
  majority_ = signs > 0 ? 1 : -1;
}

std::vector<DeltaTerm> TrimElect::trimmed(const TensorParts& tensor) const {
  std::vector<DeltaTerm> terms = untrimmed(tensor);
  if (!trims() || tensor.elements() == 0) return terms;
  const bool model_wide = scope == Scope::kModel;
  const std::vector<Threshold> thresholds =
      model_wide ? model_thresholds_ : find_thresholds({tensor});
  std::vector<int64_t> ends(terms.size(), DeltaTerm{}.tie_end);
  if (!model_wide) {
    std::vector<int64_t> left;
    for (const Threshold& threshold : thresholds) left.push_back(threshold.ties);
    ends = tie_ends(tensor, terms, thresholds, left);
  } else if (const auto known = model_tie_ends_.find(tensor.name());
             known != model_tie_ends_.end()) {
    ends = known->second;
  }
  for (size_t i = 0; i < terms.size(); ++i) {
    terms[i].threshold = thresholds[i].bits;
    terms[i].tie_end = ends[i];
  }
  return terms;
}

std::vector<DeltaTerm> TrimElect::terms(const TensorParts& tensor) const {
  const auto known = prepared_.find(tensor.name());
  return known != prepared_.end() ? known->second : trimmed(tensor);
}

at::Tensor TrimElect::merge(const TensorJob& part, const std::vector<DeltaTerm>& terms,
                            double scale) const {
  DeltaRule merge_rule{.elect = elect, .scale = static_cast<float>(scale)};
  switch (reduce) {
    case Agree::kMean:
      merge_rule.reduce = Reduce::kMeanAgree;
      break;
    case Agree::kSum:
      merge_rule.reduce = Reduce::kSumAgree;
      break;
    case Agree::kMax:
      merge_rule.reduce = Reduce::kMaxAgree;
      break;
    case Agree::kWeightedMean:
      merge_rule.reduce = Reduce::kWeightedMeanAgree;
      break;
  }
  switch (tie) {
    case Tie::kGlobalMajority:
      merge_rule.tie_sign = majority_;
      break;
    case Tie::kPlusOne:
      merge_rule.tie_sign = 1;
      break;
    case Tie::kZero:
      merge_rule.tie_sign = 0;
      break;
  }
  return delta_merge(part.base, part.experts, terms, merge_rule, part.offset);
}

}  // namespace assay
