#include "methods/dense/whole_deltas.h"

#include <ATen/ATen.h>

#include "harness/kernels/one_thread.h"

namespace assay {

at::Tensor in_arithmetic(const at::Tensor& values, Compute compute) {
  return compute == Compute::kStorage ? values : values.to(at::kFloat);
}

std::vector<at::Tensor> whole_deltas(const TensorJob& job, Compute compute) {
  const at::Tensor base = in_arithmetic(job.base, compute);
  std::vector<at::Tensor> deltas;
  for (const at::Tensor& expert : job.experts)
    deltas.push_back((in_arithmetic(expert, compute) - base).to(base.scalar_type()));
  return deltas;
}

at::Tensor as_rows(const at::Tensor& tensor) {
  return tensor.dim() < 2 ? tensor.reshape({1, -1}) : tensor.flatten(1);
}

at::Tensor sum_in_order(const std::vector<at::Tensor>& tensors) {
  at::Tensor sum = tensors.front().to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
  for (size_t i = 1; i < tensors.size(); ++i) sum += tensors[i].to(at::kFloat);
  return sum.to(tensors.front().scalar_type());
}

at::Tensor largest_of_rows(const at::Tensor& values, int64_t count) {
  const int64_t columns = values.size(1);
  if (count >= columns) return at::ones_like(values, at::kBool);
  if (count <= 0) return at::zeros_like(values, at::kBool);
  const at::Tensor threshold = std::get<0>(values.kthvalue(columns - count + 1, 1, true));
  const at::Tensor above = values > threshold, equal = values == threshold;
  const at::Tensor left = count - above.sum(1, true);
  return above.logical_or(equal.logical_and(equal.cumsum(1) <= left));
}

at::Tensor with_l1_norm(const at::Tensor& left, const at::Tensor& whole) {
  const OneThread one;
  const at::Tensor wanted = whole.abs().sum(), found = left.abs().sum();
  if (wanted.item<float>() < mergekit::kMinNorm || found.item<float>() < mergekit::kMinNorm)
    return left;
  return left * (wanted / found);
}

at::Tensor DeltaReduction::merge(const TensorJob& job, const std::vector<at::Tensor>& deltas,
                                 double scale) const {
  const at::Tensor base = in_arithmetic(job.base, compute);
  const DType dtype = rounding(compute, job.base);
  const std::vector<DeltaTerm> terms =
      rounded_terms(weighted_terms(weights, deltas.size()), compute, job);
  DeltaRule rule = sum_rule(terms, scale, normalize, dtype);
  rule.reduce = reduce;
  rule.tie_sign = tie == Tie::kPlusOne ? 1.0F : 0.0F;
  // Deltas over a base of zeros are what they are, whatever was done to them.
  return base + delta_merge(at::zeros_like(base), deltas, terms, rule).to(base.scalar_type());
}

}  // namespace assay
