#include "harness/kernels/internal/launch.h"

#include <ATen/ATen.h>
#include <c10/core/Stream.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace assay {

void* CudaLaunch::stream() const {
  return c10::impl::VirtualGuardImpl(device_.type()).getStream(device_).native_handle();
}

const void* CudaLaunch::upload_bytes(const void* data, size_t size) {
  // from_blob asks for a mutable pointer; the copy only reads it.
  const at::Tensor host =
      at::from_blob(const_cast<void*>(data), {static_cast<int64_t>(size)}, at::kByte);
  held_.push_back(host.to(device_));
  return held_.back().const_data_ptr();
}

}  // namespace assay
