#include "methods/mergekit/stored_sum.h"

#include <ATen/core/Tensor.h>

#include "harness/kernels/mergekit/fused_sum.h"
#include "harness/kernels/sums/weighted_sum.h"

namespace assay::mergekit {
namespace {

at::Tensor rounded_sum(const TensorJob& part, const std::vector<double>& weights, double divisor) {
  at::Tensor out = part.result(part.experts.front().scalar_type());
  weighted_sum_into(part.experts, weights, out, DType::kFloat32, divisor);
  return out;
}

}  // namespace

at::Tensor stored_sum(const TensorJob& part, const std::vector<double>& weights) {
  return rounded_sum(part, weights, 1);
}

at::Tensor divided_sum(const TensorJob& part, const std::vector<double>& weights, float divisor) {
  if (part.experts.front().scalar_type() == at::kFloat)
    return fused_sum(part.experts, weights, divisor);
  return rounded_sum(part, weights, divisor);
}

}  // namespace assay::mergekit
