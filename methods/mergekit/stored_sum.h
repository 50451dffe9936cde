/// mergekit's weighted sums, which are rounded to the experts' dtype whatever the result's is.
#pragma once

#include <vector>

#include "harness/method/method.h"

namespace assay::mergekit {

/// sum_i weights[i] experts[i], added up in float32 and rounded once.
at::Tensor stored_sum(const TensorJob& part, const std::vector<double>& weights);

/// The same divided by `divisor` after the sum. In float32 the steps are fused multiply-adds, as
/// of LibTorch's addcmul; in narrower dtypes those do not show.
at::Tensor divided_sum(const TensorJob& part, const std::vector<double>& weights, float divisor);

}  // namespace assay::mergekit
