/// Weighted deltas of all experts of a task-vector merge, run by run on the host.
#pragma once

#include <vector>

#include "harness/kernels/blocks.h"
#include "harness/kernels/delta.h"

namespace assay {

/// term_element() of every expert. One per thread.
class TermRows {
 public:
  /// operands[0] is the base, followed by one expert per term; `offset` as in delta_merge(). Keeps
  /// references to both.
  TermRows(const Operands& operands, const std::vector<DeltaTerm>& terms, int64_t offset);
  /// Makes it elements [begin, begin + size).
  void load(int64_t begin, int64_t size);
  const float* base() const { return base_[0]; }
  const float* const* rows() const { return rows_.data(); }  ///< one per expert
  const float* operator[](size_t expert) const { return rows_[expert]; }
  const float* weights() const { return weights_.data(); }  ///< of the terms, rounded

 private:
  const Operands& operands_;
  RunValues base_;
  const std::vector<DeltaTerm>& terms_;
  int64_t offset_;
  std::vector<float> room_, weights_;
  std::vector<const float*> rows_;
};

}  // namespace assay
