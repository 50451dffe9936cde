/// Noise on the tensors of an expert, as mergekit-moe adds it.
#pragma once

#include <ATen/core/Tensor.h>

#include "harness/method/job.h"

namespace assay {

/// Standard normal numbers, float32, one for each element of the job's tensor or part: functions of
/// the seed, the tensor and the element's index alone.
at::Tensor normal_numbers(const TensorJob& job);

}  // namespace assay
