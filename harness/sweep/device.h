/// Devices as users name them.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace assay {

/// "cpu", "cuda", "cuda:1" or "auto" (the first CUDA device, else the CPU). UserError for other
/// names and for a CUDA device that is not there: nothing falls back in silence.
at::Device parse_device(const std::string& name);

/// "cpu" or "cuda:0".
std::string device_text(at::Device device);

}  // namespace assay
