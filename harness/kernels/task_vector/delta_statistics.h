/// What methods of the task-vector family need to know of the whole before they merge: see delta.h.
#pragma once

#include <vector>

#include "harness/kernels/task_vector/delta.h"

namespace at {
class Tensor;
}

namespace assay {

/// The sum over all elements of the elected sign (-1, 0 or +1, ties left at 0): its own sign is
/// TIES' global majority. `offset` here and below: see delta_merge().
int64_t elected_sign_sum(const at::Tensor& base, const std::vector<at::Tensor>& experts,
                         const std::vector<DeltaTerm>& terms, Elect elect, int64_t offset = 0);

/// The sums of |delta|, in float64 over fixed blocks.
struct DeltaNorms {
  double whole = 0;  ///< of the deltas as they are
  double left = 0;   ///< after the term's drop, rescale and trim
};
DeltaNorms delta_l1_norms(const at::Tensor& base, const at::Tensor& expert, const DeltaTerm& term,
                          int64_t offset = 0);

namespace cuda {
/// Adds to *sum, on the device. operands[0] is the base, followed by `count` experts.
void elected_sign_sum(const Operand* operands, const DeltaTerm* terms, int count, Elect elect,
                      int64_t offset, int64_t elements, long long* sum, void* stream);
/// Two partial sums for each of `blocks` equal shares of the elements.
void delta_l1_norms(Operand base, Operand expert, DeltaTerm term, int64_t offset, int64_t elements,
                    int64_t blocks, double* whole, double* left, void* stream);
}  // namespace cuda

}  // namespace assay
