#include "harness/kernels/delta_merge.h"
#include "harness/kernels/launch.cuh"

namespace assay::cuda {
namespace {

// Terms are worked out anew where the election and the reduction both read them: arithmetic is
// cheaper here than memory.
__global__ void delta_merge_kernel(const Operand* operands, const DeltaTerm* terms, int count,
                                   DeltaRule rule, int64_t offset, int64_t elements, void* out,
                                   Storage storage) {
  for (int64_t j = first_element(); j < elements; j += element_step()) {
    const float base = load(operands[0], j);
    const auto value = [&](int i) {
      return term_element(load(operands[i + 1], j), base, terms[i], offset + j);
    };
    store(out, storage, j, merge_element(count, value, base, terms, rule));
  }
}

}  // namespace

void delta_merge(const Operand* operands, const DeltaTerm* terms, int count, DeltaRule rule,
                 int64_t offset, int64_t elements, void* out, Storage storage, void* stream) {
  if (elements == 0) return;
  delta_merge_kernel<<<grid_size(elements), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
      operands, terms, count, rule, offset, elements, out, storage);
  check_launch("delta_merge");
}

}  // namespace assay::cuda
