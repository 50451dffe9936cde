#include "harness/kernels/term_rows.h"

#include "harness/core/error.h"
#include "harness/kernels/loops_delta.h"

namespace assay {

TermRows::TermRows(const Operands& operands, const std::vector<DeltaTerm>& terms, int64_t offset)
    : operands_(operands),
      base_(operands, 1),
      terms_(terms),
      offset_(offset),
      room_(terms.size() * static_cast<size_t>(kRun)) {
  ASSAY_CHECK(offset % 64 == 0 && operands.size() == std::ssize(terms) + 1);
  for (size_t i = 0; i < terms.size(); ++i) {
    rows_.push_back(room_.data() + i * static_cast<size_t>(kRun));
    weights_.push_back(round_to(terms[i].weight, terms[i].rounding));
  }
}

void TermRows::load(int64_t begin, int64_t size) {
  base_.load(begin, size);
  for (size_t i = 0; i < terms_.size(); ++i) {
    const Operand& expert = operands_[static_cast<int>(i) + 1];
    prefetch_run(expert, begin + size, std::min(kRun, operands_.count() - begin - size));
    term_run(expert, begin, base(), terms_[i], offset_ + begin, size,
             room_.data() + i * static_cast<size_t>(kRun));
  }
}

}  // namespace assay
