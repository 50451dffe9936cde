#include "methods/dense/reinforced_sum.h"

#include <ATen/ATen.h>

#include "methods/dense/whole_deltas.h"

namespace assay {
namespace {

struct Changes {
  std::vector<at::Tensor> changed;  ///< where each expert changed the base
  at::Tensor contributors;          ///< how many experts did
};

Changes find_changes(const std::vector<at::Tensor>& deltas, double epsilon) {
  Changes changes;
  for (const at::Tensor& delta : deltas) {
    const at::Tensor& changed = changes.changed.emplace_back(delta.abs() > epsilon);
    const at::Tensor one = changed.to(at::kInt);
    changes.contributors = changes.contributors.defined() ? changes.contributors.add_(one) : one;
  }
  return changes;
}

}  // namespace

std::vector<ChangeCounts> ReinforcedSum::counts(const TensorJob& part) const {
  const Changes changes = find_changes(whole_deltas(part, compute), epsilon);
  const at::Tensor alone = changes.contributors == 1;
  std::vector<ChangeCounts> counts;
  for (const at::Tensor& changed : changes.changed) {
    const auto all = changed.sum().item<int64_t>();
    const auto unique = changed.logical_and(alone).sum().item<int64_t>();
    counts.push_back({static_cast<double>(all - unique), static_cast<double>(unique)});
  }
  return counts;
}

at::Tensor ReinforcedSum::merge(const TensorJob& part, const std::vector<double>& factors) const {
  const std::vector<at::Tensor> deltas = whole_deltas(part, compute);
  const auto [changed, contributors] = find_changes(deltas, epsilon);
  const at::Tensor divisor = contributors.clamp_min(1), alone = contributors == 1;
  std::vector<at::Tensor> terms;
  for (size_t i = 0; i < deltas.size(); ++i) {
    const at::Tensor own = deltas[i] * changed[i];
    // In float32 what all changed alike is divided once, after the sum.
    at::Tensor term = compute == Compute::kStorage ? own / divisor : own;
    if (!factors.empty())
      term = at::where(alone, own.to(at::kFloat) * static_cast<float>(factors[i]), term);
    terms.push_back(term);
  }
  at::Tensor sum = sum_in_order(terms);
  if (compute == Compute::kFloat32) sum = sum / divisor;
  return in_arithmetic(part.base, compute) + sum;
}

}  // namespace assay
