/// Devices as users name them.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace assay {

/// "cpu", "cuda", "cuda:1" or "auto" (the first CUDA device, else the CPU). UserError for other
/// names and for a CUDA device that is not there: nothing falls back in silence.
at::Device parse_device(const std::string& name);

/// One, or several with commas between them: "cuda:0,cuda:1", "cuda:0,cpu". UserError also for one
/// that is named twice.
std::vector<at::Device> parse_devices(const std::string& names);

/// "cpu", "cuda:0" or "cuda:0,cpu".
std::string device_text(const std::vector<at::Device>& devices);

/// What of such a text scores depend on: "cpu", "cuda" or "cuda,cpu".
std::string device_kinds(const std::string& devices);

}  // namespace assay
