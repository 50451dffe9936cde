#include "harness/kernels/internal/launch.cuh"
#include "harness/kernels/select/kth_magnitude.h"

namespace assay::cuda {
namespace {

__global__ void histogram_kernel(Operand base, Operand expert, DeltaTerm term, int64_t offset,
                                 int64_t elements, MagnitudeRange range,
                                 unsigned long long* histogram, unsigned long long* below) {
  unsigned long long smaller = 0;
  for (int64_t j = first_element(); j < elements; j += element_step()) {
    const uint32_t bits =
        magnitude_bits(delta_element(load(expert, j), load(base, j), term, offset + j));
    if (range.holds(bits)) atomicAdd(&histogram[range.bin(bits)], 1ull);
    smaller += bits < range.low ? 1 : 0;
  }
  if (smaller != 0) atomicAdd(below, smaller);
}

}  // namespace

void magnitude_histogram(Operand base, Operand expert, DeltaTerm term, int64_t offset,
                         int64_t elements, MagnitudeRange range, unsigned long long* histogram,
                         void* stream) {
  launch_elements("magnitude_histogram", histogram_kernel, elements, stream, base, expert, term,
                  offset, elements, range, histogram, histogram + range.bins());
}

}  // namespace assay::cuda
