#include "harness/kernels/kth_magnitude.h"
#include "harness/kernels/launch.cuh"

namespace assay::cuda {
namespace {

__global__ void histogram_kernel(Operand base, Operand expert, DeltaTerm term, int64_t offset,
                                 int64_t elements, bool second, uint32_t high,
                                 unsigned long long* histogram) {
  for (int64_t j = first_element(); j < elements; j += element_step()) {
    const float delta = delta_element(load(expert, j), load(base, j), term, offset + j);
    const int bin = magnitude_bin(magnitude_bits(delta), second, high);
    if (bin >= 0) atomicAdd(&histogram[bin], 1ull);
  }
}

}  // namespace

void magnitude_histogram(Operand base, Operand expert, DeltaTerm term, int64_t offset,
                         int64_t elements, bool second, uint32_t high,
                         unsigned long long* histogram, void* stream) {
  if (elements == 0) return;
  histogram_kernel<<<grid_size(elements), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
      base, expert, term, offset, elements, second, high, histogram);
  check_launch("magnitude_histogram");
}

}  // namespace assay::cuda
