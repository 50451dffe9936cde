/// Weighted sums of the experts of a part, written where the result belongs.
#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "harness/kernels/sums/weighted_sum.h"
#include "harness/method/method.h"

namespace assay {

/// sum_i weights[i] experts[i].
inline at::Tensor sum_of_experts(const TensorJob& part, const std::vector<double>& weights) {
  at::Tensor out = part.result();
  weighted_sum_into(part.experts, weights, out);
  return out;
}

/// weight * sum_i experts[i].
inline at::Tensor sum_of_experts(const TensorJob& part, double weight) {
  at::Tensor out = part.result();
  scaled_sum_into(part.experts, weight, out);
  return out;
}

}  // namespace assay
