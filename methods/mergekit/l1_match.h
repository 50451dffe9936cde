/// mergekit's rescaling after a random drop: what is left of a task vector gets the L1 norm of the
/// whole.
#pragma once

#include <vector>

#include "harness/kernels/task_vector/delta.h"
#include "methods/dense/weights.h"

namespace assay::mergekit {

/// Sets `rescale` of the terms that drop, in one pass over the tensor.
void match_l1(const TensorParts& tensor, Compute compute, std::vector<DeltaTerm>& terms);

}  // namespace assay::mergekit
