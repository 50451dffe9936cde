#include "harness/kernels/dtype/convert.h"
#include "harness/kernels/internal/launch.cuh"

namespace assay::cuda {
namespace {

__global__ void convert_kernel(Operand from, void* to, DType storage, int64_t elements) {
  for (int64_t j = first_element(); j < elements; j += element_step())
    store(to, storage, j, load(from, j));
}

__global__ void nonfinite_kernel(Operand operand, int64_t elements, unsigned long long* count) {
  unsigned long long bad = 0;
  for (int64_t j = first_element(); j < elements; j += element_step())
    bad += is_finite(load(operand, j)) ? 0 : 1;
  if (bad > 0) atomicAdd(count, bad);
}

}  // namespace

void convert(Operand from, void* to, DType storage, int64_t elements, void* stream) {
  launch_elements("convert", convert_kernel, elements, stream, from, to, storage, elements);
}

void count_nonfinite(Operand operand, int64_t elements, unsigned long long* count, void* stream) {
  launch_elements("count_nonfinite", nonfinite_kernel, elements, stream, operand, elements, count);
}

}  // namespace assay::cuda
