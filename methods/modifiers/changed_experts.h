/// Experts whose task vectors are changed, each by itself.
#pragma once

#include <vector>

#include "harness/kernels/task_vector/delta_merge.h"
#include "harness/method/job.h"

namespace assay {

/// base + term(expert - base) of each expert, in float32.
inline std::vector<at::Tensor> changed_experts(const TensorJob& part,
                                               const std::vector<DeltaTerm>& terms) {
  std::vector<at::Tensor> changed;
  for (size_t i = 0; i < part.experts.size(); ++i)
    changed.push_back(delta_merge(part.base, {part.experts[i]}, {terms[i]}, {}, part.offset));
  return changed;
}

/// base + factor (expert - base) of each expert, in float32; the expert itself where the factor is
/// 1.
inline std::vector<at::Tensor> scaled_experts(const TensorJob& part,
                                              const std::vector<double>& factors) {
  std::vector<DeltaTerm> terms(factors.size());
  for (size_t i = 0; i < factors.size(); ++i) terms[i].weight = static_cast<float>(factors[i]);
  std::vector<at::Tensor> scaled = changed_experts(part, terms);
  for (size_t i = 0; i < factors.size(); ++i)
    if (factors[i] == 1) scaled[i] = part.experts[i];
  return scaled;
}

}  // namespace assay
