/// Weighted deltas of all experts of a task-vector merge, run by run on the host.
#pragma once

#include <vector>

#include "harness/kernels/blocks.h"
#include "harness/kernels/task_vector/delta.h"
#include "harness/kernels/task_vector/vector_loops.h"

namespace assay {

/// term_element() of every expert. One per thread.
class TermRows {
 public:
  /// operands[0] is the base, followed by one expert per term; `offset` as in delta_merge(). Keeps
  /// references to both.
  TermRows(const Operands& operands, const std::vector<DeltaTerm>& terms, int64_t offset);
  /// Makes it elements [begin, begin + size).
  void load(int64_t begin, int64_t size);
  const float* const* rows() const { return rows_.data(); }  ///< one per expert
  const float* operator[](size_t expert) const { return rows_[expert]; }
  const float* weights() const { return weights_.data(); }  ///< of the terms, rounded

 private:
  const Operands& operands_;
  RunValues base_;
  const std::vector<DeltaTerm>& terms_;
  int64_t offset_;
  std::vector<float> buffer_, weights_;
  std::vector<const float*> rows_;
};

/// What the terms of all experts come to: in one loop of the table where there is one, else row by
/// row. One per thread.
class ReducedTerms {
 public:
  /// As for TermRows.
  ReducedTerms(const Operands& operands, const std::vector<DeltaTerm>& terms, const DeltaRule& rule,
               int64_t offset);
  /// reduce_element() of elements [begin, begin + size).
  void reduce(int64_t begin, int64_t size, float* out);

 private:
  const Operands& operands_;
  const std::vector<DeltaTerm>& terms_;
  const DeltaRule& rule_;
  int64_t offset_;
  VectorLoops::ReduceLoop loop_;
  decltype(&keep_mask_run) mask_run_;  ///< null: no masks are needed
  TermRows rows_;
};

}  // namespace assay
