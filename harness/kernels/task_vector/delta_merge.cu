#include "harness/kernels/internal/launch.cuh"
#include "harness/kernels/task_vector/delta_merge.h"

namespace assay::cuda {
namespace {

// Terms are computed again where the election and the reduction both read them: arithmetic is
// cheaper here than memory.
__global__ void delta_merge_kernel(const Operand* operands, const DeltaTerm* terms, int count,
                                   DeltaRule rule, int64_t offset, int64_t elements, void* out,
                                   DType storage, float* reduced) {
  for (int64_t j = first_element(); j < elements; j += element_step()) {
    const float base = load(operands[0], j);
    const auto value = [&](int i) {
      return term_element(load(operands[i + 1], j), base, terms[i], offset + j);
    };
    const float delta = reduce_element(count, value, terms, rule);
    if (reduced != nullptr) reduced[j] = delta;
    store(out, storage, j, changed_base(base, delta, rule.scale, rule.rounding));
  }
}

__global__ void add_delta_kernel(Operand base, const float* reduced, float scale, int64_t elements,
                                 void* out, DType storage) {
  for (int64_t j = first_element(); j < elements; j += element_step())
    store(out, storage, j, changed_base(load(base, j), reduced[j], scale, DType::kFloat32));
}

}  // namespace

void delta_merge(const Operand* operands, const DeltaTerm* terms, int count, DeltaRule rule,
                 int64_t offset, int64_t elements, void* out, DType storage, float* reduced,
                 void* stream) {
  launch_elements("delta_merge", delta_merge_kernel, elements, stream, operands, terms, count, rule,
                  offset, elements, out, storage, reduced);
}

void add_delta(Operand base, const float* reduced, float scale, int64_t elements, void* out,
               DType storage, void* stream) {
  launch_elements("add_delta", add_delta_kernel, elements, stream, base, reduced, scale, elements,
                  out, storage);
}

}  // namespace assay::cuda
