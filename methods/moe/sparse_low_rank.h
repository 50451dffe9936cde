/// A matrix as a low-rank one plus one with few rows (LoSparse, Li et al., arXiv:2306.11222).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace assay {

/// How much of the rest is left in each step: all until `warmup` is over, then less by a cubic, and
/// `last` in the final steps.
struct RestSchedule {
  int64_t steps = 0, warmup = 0, final = 0;
  double last = 0;
  /// `step` counts from 1.
  double share(int64_t step) const;
};

/// ceil(ratio m n / (m + n)): the rank whose factors have this share of the values of [m, n].
int64_t rank_of(int64_t rows, int64_t columns, double ratio);

/// left right + rest.
struct SparseLowRank {
  at::Tensor left, right;  ///< [m, rank], [rank, n]
  at::Tensor rest;         ///< [m, n]
  at::Tensor importance;   ///< of the rest's entries: a running mean of |entry gradient|
  at::Tensor previous;     ///< the last of these, which the mean does not have yet

  /// By the singular value decomposition, whose values are shared by the factors: the sum is the
  /// matrix.
  SparseLowRank(const at::Tensor& matrix, int64_t rank);
  at::Tensor whole() const { return left.mm(right) + rest; }
  /// Counts a gradient of the sum, `decay` being what is kept of the mean: the mean lags one step,
  /// as in published code.
  void observe(const at::Tensor& gradient, double decay);
  /// Rows of the rest that have an entry which is not 0.
  int64_t rows() const;
  /// Values of the factors and of these rows.
  int64_t parameters() const;
};

/// Sets to 0 the rows of the rests, of all matrices together, whose mean importance is below that
/// of the row in which the `share` of their entries that are left begins. What is 0 may grow again.
void drop_rows(std::vector<SparseLowRank>& matrices, double share);

}  // namespace assay
