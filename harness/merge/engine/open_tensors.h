/// What a whole-model method decided about the open tensors of its plan (OutputTensor::open).
#pragma once

#include <vector>

#include "harness/method/output_plan.h"

namespace assay {

/// The layout without the open tensors that were not made; the rows of the others are those made.
/// DataError on another shape than planned but for the rows, and on more of them.
std::vector<TensorInfo> settled_layout(const std::vector<TensorInfo>& planned,
                                       const OutputPlan& plan, const StateDict& made);

}  // namespace assay
