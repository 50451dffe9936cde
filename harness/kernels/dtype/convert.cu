#include "harness/kernels/dtype/convert_device.h"
#include "harness/kernels/internal/launch.cuh"

namespace assay::cuda {
namespace {

__global__ void convert_kernel(Operand from, void* to, DType storage, int64_t elements) {
  for (int64_t j = first_element(); j < elements; j += element_step())
    store(to, storage, j, load(from, j));
}

}  // namespace

void convert(Operand from, void* to, DType storage, int64_t elements, void* stream) {
  if (elements == 0) return;
  convert_kernel<<<grid_size(elements), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
      from, to, storage, elements);
  check_launch("convert");
}

}  // namespace assay::cuda
