#include "harness/sweep/device.h"

#include <ATen/ATen.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <fmt/ranges.h>

#include <algorithm>

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

}  // namespace

at::Device parse_device(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  const int64_t available = cuda_devices();
  if (name == "auto") return available > 0 ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
  int64_t index = -1;
  if (name == "cuda") index = 0;
  if (name.starts_with("cuda:") && name.size() > 5 &&
      name.find_first_not_of("0123456789", 5) == std::string::npos && name.size() < 9)
    index = std::stoll(name.substr(5));
  if (index < 0) user_error("unknown device '{}'; allowed: auto, cpu, cuda, cuda:INDEX", name);
  if (index >= available)
    user_error("device '{}' is not there: this program sees {} CUDA device(s){}", name, available,
               at::hasCUDA() ? "" : " (it was built without LibTorch's CUDA half)");
  return at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(index));
}

std::vector<at::Device> parse_devices(const std::string& names) {
  std::vector<at::Device> devices;
  for (const std::string& name : split_list(names)) {
    devices.push_back(parse_device(name));
    if (std::count(devices.begin(), devices.end(), devices.back()) > 1)
      user_error("the device '{}' stands twice in '{}'", device_text({devices.back()}), names);
  }
  return devices;
}

std::string device_text(const std::vector<at::Device>& devices) {
  std::vector<std::string> names;
  for (const at::Device device : devices) names.push_back(device.str());
  return fmt::format("{}", fmt::join(names, ","));
}

std::string device_kinds(const std::string& devices) {
  std::vector<std::string> kinds;
  for (const std::string& name : split_list(devices)) {
    std::string kind = name.substr(0, name.find(':'));
    if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end())
      kinds.push_back(std::move(kind));
  }
  return fmt::format("{}", fmt::join(kinds, ","));
}

}  // namespace assay
