#include "harness/kernels/task_vector/term_rows.h"

#include <algorithm>

#include "harness/core/error.h"

namespace assay {

TermRows::TermRows(const Operands& operands, const std::vector<DeltaTerm>& terms, int64_t offset)
    : operands_(operands),
      base_(operands, 1),
      terms_(terms),
      offset_(offset),
      buffer_(terms.size() * static_cast<size_t>(kRun)) {
  ASSAY_CHECK(operands.size() == std::ssize(terms) + 1 && offset % 64 == 0);
  for (size_t i = 0; i < terms.size(); ++i) {
    rows_.push_back(buffer_.data() + i * static_cast<size_t>(kRun));
    weights_.push_back(round_to(terms[i].weight, terms[i].rounding));
  }
}

void TermRows::load(int64_t begin, int64_t size) {
  base_.load(begin, size);
  static constexpr uint32_t kAllKept[kRun] = {};
  uint32_t thresholds[kRun];
  for (size_t i = 0; i < terms_.size(); ++i) {
    const Operand& expert = operands_[static_cast<int>(i) + 1];
    prefetch_run(expert, begin + size, std::min(kRun, operands_.count() - begin - size));
    const bool all_kept = terms_[i].drop == 0.0f && terms_[i].threshold == 0;
    if (!all_kept) keep_threshold_run(terms_[i], offset_ + begin, size, thresholds);
    term_run(expert, begin, base_[0], terms_[i], all_kept ? kAllKept : thresholds, size,
             buffer_.data() + i * static_cast<size_t>(kRun));
  }
}

/// Null: no term drops or trims.
static auto mask_run_of(const std::vector<DeltaTerm>& terms) -> decltype(&keep_mask_run) {
  const auto any = [&](auto&& has) { return std::any_of(terms.begin(), terms.end(), has); };
  if (any([](const DeltaTerm& term) { return term.drop > 0; })) return keep_mask_run;
  return any([](const DeltaTerm& term) { return term.threshold != 0; }) ? tie_mask_run : nullptr;
}

ReducedTerms::ReducedTerms(const Operands& operands, const std::vector<DeltaTerm>& terms,
                           const DeltaRule& rule, int64_t offset)
    : operands_(operands),
      terms_(terms),
      rule_(rule),
      offset_(offset),
      loop_(reduce_loop(operands.data(), terms, rule)),
      mask_run_(mask_run_of(terms)),
      rows_(operands, terms, offset) {}

void ReducedTerms::reduce(int64_t begin, int64_t size, float* out) {
  if (loop_ && size % kVectorRun == 0) {
    RunMask masks[kFewTerms];
    for (size_t i = 0; mask_run_ && i < terms_.size(); ++i)
      mask_run_(terms_[i], offset_ + begin, size, masks[i]);
    return loop_({operands_.data(), terms_.data(), masks, begin, size}, rule_.tie_sign, out);
  }
  rows_.load(begin, size);
  reduce_run(rows_.rows(), static_cast<int>(terms_.size()), rows_.weights(), rule_, size, out);
}

}  // namespace assay
