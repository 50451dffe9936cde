/// The gates of a mixture, as its router makes them.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

#include "harness/method/job.h"
#include "harness/method/router.h"

namespace assay {

/// The gate of each block that the job has, float32 [rows, width], by name, and of a shared expert
/// that is to have one, [1, width]. Empty where the job has none. DataError when the router makes
/// others.
std::map<std::string, at::Tensor> mixture_gates(const ModelJob& job, const Router& router);

}  // namespace assay
