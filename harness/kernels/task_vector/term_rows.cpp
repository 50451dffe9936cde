#include "harness/kernels/task_vector/term_rows.h"

#include "harness/core/error.h"
#include "harness/kernels/task_vector/loops_delta.h"

namespace assay {

LeastRows::LeastRows(const std::vector<DeltaTerm>& terms, int64_t offset)
    : terms_(terms),
      offset_(offset),
      room_(terms.size() * static_cast<size_t>(kRun)),
      uniform_(terms.size()) {
  ASSAY_CHECK(offset % 64 == 0);
  for (size_t i = 0; i < terms.size(); ++i)
    rows_.push_back(room_.data() + i * static_cast<size_t>(kRun));
}

void LeastRows::load(int64_t begin, int64_t size) {
  const int64_t index = offset_ + begin;
  for (size_t i = 0; i < terms_.size(); ++i) {
    const DeltaTerm& term = terms_[i];
    const bool turns = term.tie_end > index && term.tie_end < index + kRun;
    const bool uniform = term.drop == 0.0f && (term.threshold == 0 || (!term.keep_mask && !turns));
    if (uniform) {
      const uint32_t value = term.threshold == 0 ? 0 : least_magnitude(term, index);
      if (uniform_[i] == value) continue;
      std::fill_n(room_.data() + i * static_cast<size_t>(kRun), kRun, value);
      uniform_[i] = value;
    } else {
      least_run(term, index, size, room_.data() + i * static_cast<size_t>(kRun));
      uniform_[i] = kDropped;
    }
  }
}

TermRows::TermRows(const Operands& operands, const std::vector<DeltaTerm>& terms, int64_t offset)
    : operands_(operands),
      base_(operands, 1),
      terms_(terms),
      least_(terms, offset),
      room_(terms.size() * static_cast<size_t>(kRun)) {
  ASSAY_CHECK(operands.size() == std::ssize(terms) + 1);
  for (size_t i = 0; i < terms.size(); ++i) {
    rows_.push_back(room_.data() + i * static_cast<size_t>(kRun));
    weights_.push_back(round_to(terms[i].weight, terms[i].rounding));
  }
}

void TermRows::load(int64_t begin, int64_t size) {
  base_.load(begin, size);
  least_.load(begin, size);
  for (size_t i = 0; i < terms_.size(); ++i) {
    const Operand& expert = operands_[static_cast<int>(i) + 1];
    prefetch_run(expert, begin + size, std::min(kRun, operands_.count() - begin - size));
    term_run(expert, begin, base_[0], terms_[i], least_.rows()[i], size,
             room_.data() + i * static_cast<size_t>(kRun));
  }
}

ReducedTerms::ReducedTerms(const Operands& operands, const std::vector<DeltaTerm>& terms,
                           Elect elect, int64_t offset)
    : operands_(operands),
      terms_(terms),
      elect_(elect),
      in_registers_(fits_registers(operands.data(), terms, elect)),
      only_trims_(only_trims(operands.data(), terms, elect)),
      only_drops_(only_drops(operands.data(), terms, elect)),
      offset_(offset),
      least_(terms, offset) {
  if (!in_registers_) rows_.emplace(operands, terms, offset);
}

void ReducedTerms::reduce(int64_t begin, int64_t size, const DeltaRule& rule, float* out) {
  const auto count = static_cast<int>(terms_.size());
  if (in_registers_) {
    const TermLoop loop{operands_.data(), terms_.data(), count, least_.rows(), begin, size};
    if (only_trims_ && reduce_trimmed(loop, offset_ + begin, rule, out)) return;
    if (only_drops_ && reduce_dropped(loop, offset_ + begin, rule, out)) return;
    least_.load(begin, size);
    reduce_in_registers(loop, rule, out);
  } else {
    rows_->load(begin, size);
    reduce_run(rows_->rows(), count, rows_->weights(), rule, size, out);
  }
}

int64_t ReducedTerms::sign_sum(int64_t begin, int64_t size) {
  const auto count = static_cast<int>(terms_.size());
  if (in_registers_) {
    const TermLoop loop{operands_.data(), terms_.data(), count, least_.rows(), begin, size};
    int64_t sum = 0;
    if (only_trims_ && sign_sum_trimmed(loop, offset_ + begin, sum)) return sum;
    least_.load(begin, size);
    return sign_sum_in_registers(loop);
  }
  rows_->load(begin, size);
  return sign_sum_run(rows_->rows(), count, elect_, size);
}

}  // namespace assay
