/// Weighted deltas of all experts of a task-vector merge, run by run on the host.
#pragma once

#include <optional>
#include <vector>

#include "harness/kernels/blocks.h"
#include "harness/kernels/task_vector/delta.h"

namespace assay {

/// least_magnitude() of every expert. One per thread.
class LeastRows {
 public:
  /// Of elements of a tensor from number `offset`, a multiple of 64, on. Keeps a reference to the
  /// terms.
  LeastRows(const std::vector<DeltaTerm>& terms, int64_t offset);
  /// Makes it elements [begin, begin + size).
  void load(int64_t begin, int64_t size);
  const uint32_t* const* rows() const { return rows_.data(); }  ///< one per expert

 private:
  const std::vector<DeltaTerm>& terms_;
  int64_t offset_;
  std::vector<uint32_t> room_;
  std::vector<const uint32_t*> rows_;
  /// The value that a whole row has, mostly that of the run before; kDropped: none.
  std::vector<uint32_t> uniform_;
};

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
  LeastRows least_;
  std::vector<float> room_, weights_;
  std::vector<const float*> rows_;
};

/// What the terms of all experts come to: in one loop where registers hold them, else row by row.
/// One per thread.
class ReducedTerms {
 public:
  /// As for TermRows.
  ReducedTerms(const Operands& operands, const std::vector<DeltaTerm>& terms, Elect elect,
               int64_t offset);
  /// reduce_element() of elements [begin, begin + size).
  void reduce(int64_t begin, int64_t size, const DeltaRule& rule, float* out);
  /// The sum of their elected signs, ties left at 0.
  int64_t sign_sum(int64_t begin, int64_t size);

 private:
  const Operands& operands_;
  const std::vector<DeltaTerm>& terms_;
  Elect elect_;
  bool in_registers_, only_trims_, only_drops_;
  int64_t offset_;
  LeastRows least_;
  std::optional<TermRows> rows_;  ///< where they are not in registers
};

}  // namespace assay
