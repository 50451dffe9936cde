#include "harness/sweep/device.h"

#include <ATen/ATen.h>
#include <ATen/detail/CUDAHooksInterface.h>

#include "harness/core/error.h"

namespace assay {
namespace {

int64_t cuda_devices() { return at::hasCUDA() ? at::detail::getCUDAHooks().deviceCount() : 0; }

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

std::string device_text(at::Device device) { return device.str(); }

}  // namespace assay
