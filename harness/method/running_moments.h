/// The running moments of BatchNorm layers in merges. They are tensors of a model but no weights:
/// a sum of differences may give a negative variance, and trimming or sign election gives moments
/// that no data have.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "harness/method/job.h"

namespace assay {

/// Whether the tensor is a running mean or variance, by its name.
bool is_running_moment(const std::string& tensor);

/// The mean over experts, float32: what such a tensor becomes, unless a method makes its own
/// (MethodInfo::own_moments).
at::Tensor mean_moments(const TensorJob& job);

}  // namespace assay
