#include "harness/kernels/internal/launch.cuh"
#include "harness/kernels/sums/weighted_sum.h"

namespace assay::cuda {
namespace {

__global__ void weighted_sum_kernel(const Operand* operands, const float* weights, int count,
                                    bool equal, float divisor, DType rounding, int64_t elements,
                                    void* out, DType storage) {
  for (int64_t j = first_element(); j < elements; j += element_step()) {
    const auto value = [&](int i) { return load(operands[i], j); };
    store(out, storage, j, weighted_sum_element(count, value, weights, equal, divisor, rounding));
  }
}

}  // namespace

void weighted_sum(const Operand* operands, const float* weights, int count, bool equal,
                  float divisor, DType rounding, int64_t elements, void* out, DType storage,
                  void* stream) {
  launch_elements("weighted_sum", weighted_sum_kernel, elements, stream, operands, weights, count,
                  equal, divisor, rounding, elements, out, storage);
}

}  // namespace assay::cuda
