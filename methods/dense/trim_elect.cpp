#include "methods/dense/trim_elect.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <atomic>

#include "harness/core/error.h"
#include "harness/core/hash.h"
#include "harness/kernels/select/kth_magnitude.h"
#include "harness/kernels/task_vector/delta_statistics.h"

namespace assay {

int64_t TrimElect::working_bytes(const TensorInfo& tensor) const {
  const bool sorts = tie_order == Ties::kIntrosort && trims();
  return sorts ? mergekit::introsort_bytes(tensor, compute) : 0;
}

std::vector<DeltaTerm> TrimElect::untrimmed(const TensorParts& tensor) const {
  std::vector<DeltaTerm> terms = weighted_terms(weights, tensor.num_experts());
  before.apply(tensor, compute, terms);
  return terms;
}

bool TrimElect::trims() const {
  if (densities.empty()) return density < 1;
  return std::any_of(densities.begin(), densities.end(), [](double each) { return each < 1; });
}

int64_t TrimElect::threshold_rank(size_t expert, int64_t count) const {
  const auto wanted = static_cast<int64_t>(share(expert) * static_cast<double>(count));
  if (rule == TrimRule::kKthGe) return count - wanted;
  const int64_t kept = std::clamp<int64_t>(wanted, 1, std::max<int64_t>(count, 1));
  return kept >= count ? 0 : count - kept + 1;
}

std::string TrimElect::delta_key(const TensorParts& tensor, size_t expert,
                                 const DeltaTerm& term) const {
  return fmt::format("{} {} {} {} {}", tensor.delta_key(expert), static_cast<int>(compute),
                     term.drop, term.key, term.rescale);
}

std::vector<TrimElect::Threshold> TrimElect::find_thresholds(
    const std::vector<TensorParts>& tensors, const Visit& visit) const {
  const size_t experts = tensors.front().num_experts();
  std::vector<std::vector<DeltaTerm>> terms;
  for (const TensorParts& tensor : tensors) terms.push_back(untrimmed(tensor));
  std::vector<size_t> trimmed;
  std::vector<std::string> keys;
  for (size_t i = 0; i < experts; ++i) {
    if (share(i) >= 1) continue;
    trimmed.push_back(i);
    Hasher hasher;
    for (size_t k = 0; k < tensors.size(); ++k) hasher.text(delta_key(tensors[k], i, terms[k][i]));
    keys.push_back(
        fmt::format("threshold {} {} {}", static_cast<int>(rule), share(i), hasher.hex()));
  }
  const auto found =
      tensors.front().cached<Threshold>(keys, [&](const std::vector<size_t>& missing) {
        std::vector<size_t> selected;
        for (const size_t k : missing) selected.push_back(trimmed[k]);
        return select_thresholds(tensors, visit, terms, selected);
      });
  std::vector<Threshold> thresholds(experts);
  for (size_t k = 0; k < trimmed.size(); ++k) thresholds[trimmed[k]] = found[k];
  return thresholds;
}

std::vector<TrimElect::Threshold> TrimElect::select_thresholds(
    const std::vector<TensorParts>& tensors, const Visit& visit,
    const std::vector<std::vector<DeltaTerm>>& terms, const std::vector<size_t>& experts) const {
  int64_t count = 0;
  for (const TensorParts& tensor : tensors) count += tensor.elements();
  std::vector<size_t> selected;  // places in `experts`
  std::vector<int64_t> ranks;
  for (size_t n = 0; n < experts.size(); ++n) {
    const int64_t rank = threshold_rank(experts[n], count);
    if (rank <= 0) continue;
    selected.push_back(n);
    ranks.push_back(rank);
  }
  std::vector<Threshold> thresholds(experts.size());
  if (selected.empty()) return thresholds;
  KthMagnitude selection(ranks, count);
  do {
    visit([&](size_t k) {
      tensors[k].for_each([&](const TensorJob& part) {
        const std::vector<DeltaTerm> rounded = rounded_terms(terms[k], compute, part);
        std::vector<at::Tensor> fed;
        std::vector<DeltaTerm> fed_terms;
        for (const size_t n : selected) {
          fed.push_back(part.experts[experts[n]]);
          fed_terms.push_back(rounded[experts[n]]);
        }
        selection.feed(part.base, fed, fed_terms, part.offset);
      });
    });
  } while (selection.next());
  for (size_t m = 0; m < selected.size(); ++m) {
    const KthMagnitude::Found& found = selection.found(m);
    Threshold& threshold = thresholds[selected[m]];
    threshold.bits = found.bits;
    if (rule != TrimRule::kExactCount) continue;
    const int64_t ties = found.below + found.equal - (ranks[m] - 1);
    // Zeros never count, however many of them are kept.
    if (ties < found.equal && threshold.bits != 0) threshold.ties = ties;
  }
  return thresholds;
}

std::vector<int64_t> TrimElect::tie_ends(const TensorParts& tensor,
                                         const std::vector<DeltaTerm>& untrimmed,
                                         const std::vector<Threshold>& thresholds,
                                         std::vector<int64_t>& left) const {
  constexpr int64_t kNone = DeltaTerm{}.tie_end;
  std::vector<int64_t> ends(thresholds.size(), kNone);
  std::vector<size_t> tied;
  std::vector<std::string> keys;
  for (size_t i = 0; i < thresholds.size(); ++i) {
    if (thresholds[i].ties < 0) continue;
    tied.push_back(i);
    keys.push_back(fmt::format("tie end {} {} {}", thresholds[i].bits, left[i],
                               delta_key(tensor, i, untrimmed[i])));
  }
  if (tied.empty()) return ends;
  const auto found = tensor.cached<TieEnd>(keys, [&](const std::vector<size_t>& missing) {
    std::vector<TieEnd> searched(missing.size(), {kNone, 0});
    tensor.for_each([&](const TensorJob& part) {
      const std::vector<DeltaTerm> rounded = rounded_terms(untrimmed, compute, part);
      for (size_t k = 0; k < missing.size(); ++k) {
        const size_t i = tied[missing[k]];
        if (searched[k].end != kNone) continue;
        const TieEnd here = find_tie_end(part.base, part.experts[i], rounded[i], thresholds[i].bits,
                                         left[i] - searched[k].found, part.offset);
        searched[k] = {here.end, searched[k].found + here.found};
      }
    });
    return searched;
  });
  for (size_t k = 0; k < tied.size(); ++k) {
    ends[tied[k]] = found[k].end;
    left[tied[k]] -= found[k].found;
  }
  return ends;
}

void TrimElect::prepare(const ModelJob& job) {
  check_weights(weights, job);
  check_list("densities", densities, job);
  before.check(job);
  if (tie_order == Ties::kIntrosort &&
      (scope != Scope::kTensor || rule != TrimRule::kExactCount || tie == Tie::kGlobalMajority))
    user_error(
        "trim.ties 'introsort' needs trim.scope 'tensor', trim.rule 'exact_count' and an "
        "elect.tie other than 'global_majority'");
  if (tie_order == Ties::kIntrosort && trims()) mergekit::check_introsort(job);
  prepared_.clear();
  model_tie_ends_.clear();
  if (job.names().empty()) return;
  const Visit visit = [&](const auto& body) { job.for_each(body); };
  if (trims() && scope == Scope::kModel) {
    std::vector<TensorParts> tensors;
    for (const std::string& name : job.names()) tensors.push_back(job.parts(name));
    model_thresholds_ = find_thresholds(tensors, visit);
    std::vector<int64_t> left;
    for (const Threshold& threshold : model_thresholds_) left.push_back(threshold.ties);
    if (std::any_of(left.begin(), left.end(), [](int64_t ties) { return ties >= 0; }))
      for (const TensorParts& tensor : tensors)
        model_tie_ends_[tensor.name()] =
            tie_ends(tensor, untrimmed(tensor), model_thresholds_, left);
  }
  if (tie != Tie::kGlobalMajority) return;
  std::vector<TensorParts> tensors;
  Hasher hasher;
  for (const std::string& name : job.names()) {
    const std::vector<DeltaTerm>& terms =
        (prepared_[name] = trimmed(tensors.emplace_back(job.parts(name)))).terms;
    for (size_t i = 0; i < terms.size(); ++i)
      hasher.text(fmt::format("{} {} {} {}", delta_key(tensors.back(), i, terms[i]),
                              terms[i].threshold, terms[i].tie_end, terms[i].weight));
  }
  const std::string key = fmt::format("sign sum {} {}", static_cast<int>(elect), hasher.hex());
  const auto count_signs = [&](const std::vector<size_t>&) {
    std::atomic<int64_t> signs{0};
    visit([&](size_t k) {
      tensors[k].for_each([&](const TensorJob& part) {
        signs +=
            elected_sign_sum(part.base, part.experts,
                             rounded_terms(prepared_.at(tensors[k].name()).terms, compute, part),
                             elect, part.offset);
      });
    });
    return std::vector<int64_t>{signs};
  };
  const int64_t signs = tensors.front().cached<int64_t>({key}, count_signs).front();
  // The paper's code lets a majority of 0 pass as negative.
  majority_ = signs > 0 ? 1 : -1;
}

TrimElect::Trimmed TrimElect::trimmed(const TensorParts& tensor) const {
  Trimmed result{untrimmed(tensor), {}};
  std::vector<DeltaTerm>& terms = result.terms;
  if (!trims() || tensor.elements() == 0) return result;
  if (tie_order == Ties::kIntrosort) return introsorted(tensor);
  const bool model_wide = scope == Scope::kModel;
  const std::vector<Threshold> thresholds =
      model_wide ? model_thresholds_ : find_thresholds({tensor}, [](const auto& body) { body(0); });
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
  return result;
}

TrimElect::Trimmed TrimElect::introsorted(const TensorParts& tensor) const {
  Trimmed result{untrimmed(tensor), {}};
  std::vector<mergekit::IntrosortTrim> trims;
  for (size_t i = 0; i < result.terms.size(); ++i) {
    const int64_t elements = tensor.elements(), rank = threshold_rank(i, elements);
    if (share(i) < 1 && rank > 0)
      trims.push_back({i, elements - rank + 1,
                       fmt::format("{} {}", share(i), delta_key(tensor, i, result.terms[i]))});
  }
  result.keep_masks = mergekit::introsort_trim(tensor, trims, compute, result.terms);
  return result;
}

TrimElect::Trimmed TrimElect::measure(const TensorParts& tensor) const {
  const auto known = prepared_.find(tensor.name());
  return known != prepared_.end() ? known->second : trimmed(tensor);
}

at::Tensor TrimElect::alone(const Trimmed& trimmed, size_t expert, const at::Tensor& delta) const {
  TensorJob job;
  job.base = at::zeros_like(delta);
  job.experts = {delta};
  return merge(job, {{trimmed.terms[expert]}, {}}, 1);
}

at::Tensor TrimElect::merge(const TensorJob& part, const Trimmed& trimmed, double scale) const {
  DeltaRule merge_rule{
      .elect = elect, .scale = static_cast<float>(scale), .rounding = rounding(compute, part.base)};
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
      merge_rule.min_divisor = mergekit::kMinDivisor;
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
  const std::vector<DeltaTerm> terms = rounded_terms(trimmed.terms, compute, part);
  return merge_sharing_delta(part, terms, merge_rule);
}

}  // namespace assay
