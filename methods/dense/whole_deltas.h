/// What methods share that work on task vectors of whole tensors with LibTorch's operators: the
/// dtype of the arithmetic, the choice of entries by magnitude, and how task vectors become one.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "methods/dense/task_vectors.h"

namespace assay {

/// The values in the dtype that steps are computed in.
at::Tensor in_arithmetic(const at::Tensor& values, Compute compute);
/// expert - base of every expert.
std::vector<at::Tensor> whole_deltas(const TensorJob& job, Compute compute);
/// [first dimension, the others]. A vector is one row.
at::Tensor as_rows(const at::Tensor& tensor);
/// The sum in their order, in float32 and rounded once to their dtype.
at::Tensor sum_in_order(const std::vector<at::Tensor>& tensors);

/// Of every row of [rows, columns], whether an entry is among the `count` largest. Of equal ones
/// the first are.
at::Tensor largest_of_rows(const at::Tensor& values, int64_t count);

/// `left`, which is what a mask left of the whole, with the L1 norm of the whole.
at::Tensor with_l1_norm(const at::Tensor& left, const at::Tensor& whole);

/// How task vectors become one: a sum, or TIES' election and reduction.
struct DeltaReduction {
  enum class Tie { kPlusOne, kZero };

  Reduce reduce = Reduce::kSumAll;
  Tie tie = Tie::kPlusOne;
  bool normalize = false;
  std::vector<double> weights{};
  Compute compute = Compute::kFloat32;

  void sum_parameters(auto&& p) {
    p(normalize, {.name = "normalize", .help = kNormalizeHelp});
    shared_parameters(p);
  }
  void election_parameters(auto&& p) {
    tie_parameter(p);
    shared_parameters(p);
  }
  void tie_parameter(auto&& p) {
    p(tie, {.name = "elect.tie",
            .choices = {"plus_one", "zero"},
            .help = "the sign where the vote is exactly zero: plus, or none"});
  }
  void shared_parameters(auto&& p) {
    p(weights, {.name = "weights", .range = {-10, 10}, .help = kWeightsHelp});
    compute_parameter(compute, p);
  }

  /// base + scale * what the task vectors come to.
  at::Tensor merge(const TensorJob& job, const std::vector<at::Tensor>& deltas, double scale) const;
};

}  // namespace assay
