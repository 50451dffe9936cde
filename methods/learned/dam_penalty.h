/// DAM's penalties on the coefficients of a layer.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace assay {

/// The terms by their weights; 0: off.
struct DamPenalty {
  double similarity = 0.01;
  double l1 = 0, l2 = 0;
  double overlap = 0, weighted_overlap = 0;

  /// Of the coefficients [models, columns]; gradients reach them. `angles`: of each pair of models
  /// and column sin²(2θ), where θ is the angle between the columns of their task vectors, as
  /// squared_sines() gives them; undefined: there is no weighted overlap.
  at::Tensor operator()(const at::Tensor& coefficients, const at::Tensor& angles) const;
};

/// sin²(2θ) of every pair of matrices [rows, columns], by column: float64 [pairs, columns].
at::Tensor squared_sines(const std::vector<at::Tensor>& matrices);

}  // namespace assay
