/// Shared by the CUDA kernels: launch sizes, error checks and a sum over a thread block in fixed
/// order.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <stdexcept>
#include <string>

namespace assay::cuda {

constexpr int kThreads = 256;

/// Enough blocks for `elements`, one thread each, up to a limit after which threads take several.
inline unsigned grid_size(int64_t elements) {
  const int64_t blocks = (elements + kThreads - 1) / kThreads;
  return static_cast<unsigned>(blocks < 65535 ? blocks : 65535);
}

/// The element this thread starts at, and the step to its next.
__device__ inline int64_t first_element() {
  return static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
}
__device__ inline int64_t element_step() { return static_cast<int64_t>(gridDim.x) * kThreads; }

/// Starts a kernel on a grid of blocks, and says by its name what CUDA refuses.
template <typename... Parameters, typename... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), dim3 grid, void* stream,
            Arguments... arguments) {
  kernel<<<grid, kThreads, 0, static_cast<cudaStream_t>(stream)>>>(arguments...);
  const cudaError_t error = cudaGetLastError();
  if (error != cudaSuccess)
    throw std::runtime_error(std::string("CUDA kernel ") + name + ": " + cudaGetErrorString(error));
}
/// The same over elements; none, and it does nothing.
template <typename... Parameters, typename... Arguments>
void launch_elements(const char* name, void (*kernel)(Parameters...), int64_t elements,
                     void* stream, Arguments... arguments) {
  if (elements > 0) launch(name, kernel, grid_size(elements), stream, arguments...);
}

/// The sum of `value` over the thread block, valid in thread 0; the order of additions is fixed.
/// All threads of the block must call it.
template <typename T>
__device__ T block_sum(T value) {
  __shared__ T shared[kThreads];
  shared[threadIdx.x] = value;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
    __syncthreads();
  }
  const T sum = shared[0];
  __syncthreads();  // the next call writes to the same memory
  return sum;
}

}  // namespace assay::cuda
