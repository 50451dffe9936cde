/// Devices as users name them.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace assay {

/// The devices that hold a model: one, or several that share its blocks, each named once.
using Devices = std::vector<at::Device>;

/// "cpu", "cuda", "cuda:1" or "auto" (the first CUDA device, else the CPU). UserError for other
/// names and for a CUDA device that is not available: nothing falls back in silence.
at::Device parse_device(const std::string& name);

/// One, or several with commas between them: "cuda:0,cuda:1", "cuda:0,cpu". UserError also for one
/// that is named twice.
Devices parse_devices(const std::string& names);

/// "cpu", "cuda:0" or "cuda:0,cpu".
std::string device_text(const Devices& devices);
/// The devices of such a text, available or not. UserErrors for names as above.
Devices devices_from_text(const std::string& text);
/// UserError for a device that is not available.
void check_available(const Devices& devices);

/// What scores depend on of the devices: "cpu", "cuda" or "cuda,cpu".
std::string device_kinds(const Devices& devices);

}  // namespace assay
