/// Deltas of a part as tensors of their own, for methods that compare or mask them entry by entry.
#pragma once

#include <ATen/ATen.h>

#include "harness/kernels/task_vector/delta_merge.h"
#include "harness/method/method.h"

namespace assay {

/// What an expert changed, in float32.
inline at::Tensor part_delta(const TensorJob& part, size_t expert) {
  return part.experts[expert].to(at::kFloat) - part.base.to(at::kFloat);
}

/// base + scale * delta. `delta` is in float32 and contiguous.
inline at::Tensor add_to_base(const TensorJob& part, const at::Tensor& delta, double scale) {
  at::Tensor out = part.result();
  part.report_nonfinite(add_delta_into(part.base, delta, static_cast<float>(scale), out));
  return out;
}

}  // namespace assay
