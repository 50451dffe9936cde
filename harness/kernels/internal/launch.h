/// What a dispatcher needs to call a CUDA kernel: the device made current, its stream, and small
/// host arrays copied over. Kernels themselves live in *.cu and never see LibTorch.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/DeviceGuard.h>

#include <vector>

#include "harness/kernels/blocks.h"

namespace assay {

#ifdef ASSAY_CUDA_KERNELS
inline constexpr bool kCudaKernels = true;
#else
inline constexpr bool kCudaKernels = false;
#endif

class CudaLaunch {
 public:
  explicit CudaLaunch(at::Device device) : guard_(device), device_(device) {}

  /// LibTorch's current stream on the device, a cudaStream_t.
  void* stream() const;

  /// Device copy of an array of plain values; lives as long as this object.
  template <typename T>
  const T* upload(const T* values, int64_t count) {
    static_assert(std::is_trivially_copyable_v<T>);
    return reinterpret_cast<const T*>(upload_bytes(values, static_cast<size_t>(count) * sizeof(T)));
  }
  template <typename T>
  const T* upload(const std::vector<T>& values) {
    return upload(values.data(), std::ssize(values));
  }
  const Operand* upload(const Operands& operands) {
    return upload(operands.data(), operands.size());
  }

 private:
  const void* upload_bytes(const void* data, size_t size);

  c10::DeviceGuard guard_;
  at::Device device_;
  std::vector<at::Tensor> held_;
};

}  // namespace assay
