/// One pass that merges a tensor of every expert of the task-vector family: see delta.h.
#pragma once

#include <vector>

#include "harness/kernels/task_vector/delta.h"

namespace at {
class Tensor;
}

namespace assay {

/// base + scale * reduce(terms of all experts), float32. All tensors have one shape and device,
/// each in any dtype of DType; one term per expert. `offset` is the index of the tensors' first
/// element in the whole tensor that they are a part of: draws and ties go by whole tensors. It is a
/// multiple of 64.
at::Tensor delta_merge(const at::Tensor& base, const std::vector<at::Tensor>& experts,
                       const std::vector<DeltaTerm>& terms, const DeltaRule& rule,
                       int64_t offset = 0);
/// The same into a contiguous tensor of that shape and device and any dtype of DType, rounded
/// once at the end; `out` may be the base or an expert. `reduced`, contiguous and apart from all
/// others, takes the reduced deltas in float32; who asks for them counts the operations of the last
/// step, kChangeFlops per element, as add_delta_into() does.
/// Returns how many results are NaN or infinite.
int64_t delta_merge_into(const at::Tensor& base, const std::vector<at::Tensor>& experts,
                         const std::vector<DeltaTerm>& terms, const DeltaRule& rule,
                         at::Tensor& out, int64_t offset = 0, at::Tensor* reduced = nullptr);
/// base + scale * reduced in float32, rounded once to the dtype of `out`: what delta_merge_into()
/// gave with a rule of that scale and without rounding between steps. `out` may be the base.
/// Returns how many results are NaN or infinite.
int64_t add_delta_into(const at::Tensor& base, const at::Tensor& reduced, float scale,
                       at::Tensor& out);

/// Float operations per element of adding the scaled delta to the base,
inline constexpr int64_t kChangeFlops = 2;
/// and of what comes before the sum over experts.
int64_t delta_flops(const std::vector<DeltaTerm>& terms);

namespace cuda {
/// Device pointers; operands[0] is the base, followed by `count` experts. `out` takes values of the
/// dtype `storage`, `reduced` the reduced deltas unless it is null.
void delta_merge(const Operand* operands, const DeltaTerm* terms, int count, DeltaRule rule,
                 int64_t offset, int64_t elements, void* out, DType storage, float* reduced,
                 void* stream);
void add_delta(Operand base, const float* reduced, float scale, int64_t elements, void* out,
               DType storage, void* stream);
}  // namespace cuda

}  // namespace assay
