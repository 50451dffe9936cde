#include "methods/dense/trim_elect.h"

#include <ATen/core/Tensor.h>

#include <algorithm>

#include "harness/kernels/kth_magnitude.h"

namespace assay {

std::vector<DeltaTerm> TrimElect::untrimmed(const TensorJob& job) const {
  std::vector<DeltaTerm> terms = weighted_terms(weights, job.experts.size());
  before.apply(job, terms);
  return terms;
}

int64_t TrimElect::threshold_rank(int64_t count) const {
  const auto share = static_cast<int64_t>(density * static_cast<double>(count));
  if (rule == TrimRule::kKthGe) return count - share;
  const int64_t kept = std::clamp<int64_t>(share, 1, std::max<int64_t>(count, 1));
  return kept >= count ? 0 : count - kept + 1;
}

template <typename Load>
std::vector<TrimElect::Threshold> TrimElect::find_thresholds(const std::vector<std::string>& names,
                                                             size_t experts,
                                                             const Load& load) const {
  std::vector<KthMagnitude> selections(experts);
  const auto feed_all = [&] {
    for (const std::string& name : names) {
      const TensorJob& job = load(name);
      const std::vector<DeltaTerm> terms = untrimmed(job);
      for (size_t i = 0; i < experts; ++i) selections[i].feed(job.base, job.experts[i], terms[i]);
    }
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

void TrimElect::prepare(const ModelJob& job) {
  check_weights(weights, job);
  prepared_.clear();
  if (trims() && scope == Scope::kModel && !job.names().empty()) {
    TensorJob loaded;
    model_thresholds_ = find_thresholds(
        job.names(), job.num_experts(),
        [&](const std::string& name) -> const TensorJob& { return loaded = job.tensor(name); });
    place_ties(job);
  }
  if (tie != Tie::kGlobalMajority) return;
  int64_t signs = 0;
  for (const std::string& name : job.names()) {
    const TensorJob tensor = job.tensor(name);
    const std::vector<DeltaTerm>& terms = prepared_[name] = trimmed(tensor);
    signs += elected_sign_sum(tensor.base, tensor.experts, terms, elect);
  }
  // The paper's code lets a majority of 0 pass as negative.
  majority_ = signs > 0 ? 1 : -1;
}

void TrimElect::place_ties(const ModelJob& job) {
  tie_ends_.clear();
  std::vector<int64_t> left;
  for (const Threshold& threshold : model_thresholds_) left.push_back(threshold.ties);
  if (std::all_of(left.begin(), left.end(), [](int64_t ties) { return ties < 0; })) return;
  for (const std::string& name : job.names()) {
    const TensorJob tensor = job.tensor(name);
    const std::vector<DeltaTerm> terms = untrimmed(tensor);
    std::vector<int64_t>& ends = tie_ends_[name];
    for (size_t i = 0; i < left.size(); ++i) {
      ends.push_back(DeltaTerm{}.tie_end);
      if (left[i] < 0) continue;
      const TieEnd found = find_tie_end(tensor.base, tensor.experts[i], terms[i],
                                        model_thresholds_[i].bits, left[i]);
      ends.back() = found.end;
      left[i] -= found.found;
    }
  }
}

std::vector<DeltaTerm> TrimElect::trimmed(const TensorJob& job) const {
  std::vector<DeltaTerm> terms = untrimmed(job);
  if (!trims()) return terms;
  const std::vector<DeltaTerm> whole = terms;
  const std::vector<Threshold> thresholds =
      scope == Scope::kModel
          ? model_thresholds_
          : find_thresholds({job.name}, terms.size(),
                            [&](const std::string&) -> const TensorJob& { return job; });
  const auto ends = tie_ends_.find(job.name);
  for (size_t i = 0; i < terms.size(); ++i) {
    terms[i].threshold = thresholds[i].bits;
    if (thresholds[i].ties < 0) continue;
    terms[i].tie_end = scope == Scope::kModel ? ends->second[i]
                                              : find_tie_end(job.base, job.experts[i], whole[i],
                                                             thresholds[i].bits, thresholds[i].ties)
                                                    .end;
  }
  return terms;
}

at::Tensor TrimElect::merge(const TensorJob& job, double scale) const {
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
  const auto known = prepared_.find(job.name);
  return delta_merge(job.base, job.experts, known != prepared_.end() ? known->second : trimmed(job),
                     merge_rule);
}

}  // namespace assay
