/// Experts whose task vectors are multiplied by factors.
#pragma once

#include <vector>

#include "harness/kernels/task_vector/delta_merge.h"
#include "harness/method/job.h"

namespace assay {

/// base + factor (expert - base) of each expert, in float32; the expert itself where the factor is
/// 1.
inline std::vector<at::Tensor> scaled_experts(const TensorJob& part,
                                              const std::vector<double>& factors) {
  std::vector<at::Tensor> scaled;
  for (size_t i = 0; i < part.experts.size(); ++i)
    scaled.push_back(factors[i] == 1
                         ? part.experts[i]
                         : delta_merge(part.base, {part.experts[i]},
                                       {{.weight = static_cast<float>(factors[i])}}, {}));
  return scaled;
}

}  // namespace assay
