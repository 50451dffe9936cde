#include "harness/kernels/dtype/nonfinite.h"
#include "harness/kernels/internal/launch.cuh"

namespace assay::cuda {
namespace {

__global__ void nonfinite_kernel(Operand operand, int64_t elements, unsigned long long* count) {
  unsigned long long bad = 0;
  for (int64_t j = first_element(); j < elements; j += element_step())
    bad += is_finite(load(operand, j)) ? 0 : 1;
  if (bad > 0) atomicAdd(count, bad);
}

}  // namespace

void count_nonfinite(Operand operand, int64_t elements, unsigned long long* count, void* stream) {
  if (elements == 0) return;
  nonfinite_kernel<<<grid_size(elements), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
      operand, elements, count);
  check_launch("count_nonfinite");
}

}  // namespace assay::cuda
