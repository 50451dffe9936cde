#include "harness/sweep/device.h"

#include <ATen/ATen.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

#include "harness/core/error.h"

namespace assay {
namespace {

int64_t cuda_devices() { return at::hasCUDA() ? at::detail::getCUDAHooks().deviceCount() : 0; }

std::vector<std::string> split_list(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

[[noreturn]] void refuse_missing(const std::string& name) {
  user_error("device '{}' is not there: this program sees {} CUDA device(s){}", name,
             cuda_devices(), at::hasCUDA() ? "" : " (it was built without LibTorch's CUDA half)");
}

// "cuda" is the first of them.
at::Device named_device(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  int64_t index = -1;
  if (name == "cuda") index = 0;
  if (name.starts_with("cuda:") && name.size() > 5 &&
      name.find_first_not_of("0123456789", 5) == std::string::npos && name.size() < 9)
    index = std::stoll(name.substr(5));
  if (index < 0) user_error("unknown device '{}'; allowed: auto, cpu, cuda, cuda:INDEX", name);
  if (index > std::numeric_limits<c10::DeviceIndex>::max()) refuse_missing(name);
  return {at::kCUDA, static_cast<c10::DeviceIndex>(index)};
}

void check_available(at::Device device, const std::string& name) {
  if (!device.is_cpu() && device.index() >= cuda_devices()) refuse_missing(name);
}

Devices parse_list(const std::string& names, at::Device (*parse)(const std::string& name)) {
  Devices devices;
  for (const std::string& name : split_list(names)) {
    devices.push_back(parse(name));
    if (std::count(devices.begin(), devices.end(), devices.back()) > 1)
      user_error("the device '{}' is named twice in '{}'", device_text({devices.back()}), names);
  }
  return devices;
}

}  // namespace

at::Device parse_device(const std::string& name) {
  if (name == "auto") return cuda_devices() > 0 ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
  const at::Device device = named_device(name);
  check_available(device, name);
  return device;
}

Devices parse_devices(const std::string& names) { return parse_list(names, parse_device); }

Devices devices_from_text(const std::string& text) { return parse_list(text, named_device); }

std::string device_text(const Devices& devices) {
  std::vector<std::string> names;
  for (const at::Device device : devices) names.push_back(device.str());
  return fmt::format("{}", fmt::join(names, ","));
}

void check_available(const Devices& devices) {
  for (const at::Device device : devices) check_available(device, device.str());
}

std::string device_kinds(const Devices& devices) {
  std::vector<std::string> kinds;
  for (const at::Device device : devices) {
    std::string kind = at::Device(device.type()).str();
    if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end())
      kinds.push_back(std::move(kind));
  }
  return fmt::format("{}", fmt::join(kinds, ","));
}

}  // namespace assay
