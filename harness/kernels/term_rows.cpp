#include "harness/kernels/term_rows.h"

#include "harness/kernels/loops_delta.h"

namespace assay {

TermRows::TermRows(const Operands& operands, const std::vector<DeltaTerm>& terms, int64_t offset)
    : values_(operands),
      terms_(terms),
      offset_(offset),
      room_(terms.size() * static_cast<size_t>(kRun)) {
  for (size_t i = 0; i < terms.size(); ++i)
    rows_.push_back(room_.data() + i * static_cast<size_t>(kRun));
}

void TermRows::load(int64_t begin, int64_t size) {
  values_.load(begin, size);
  for (size_t i = 0; i < terms_.size(); ++i) {
    float* row = room_.data() + i * static_cast<size_t>(kRun);
    delta_run(values_[static_cast<int>(i) + 1], values_[0], terms_[i], offset_ + begin, size, row);
    weigh_run(terms_[i], size, row);
  }
}

}  // namespace assay
