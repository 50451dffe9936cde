/// Which tensors of a model take part in a merge. For the files of this folder.
#pragma once

#include "harness/merge/merge.h"

namespace assay {

enum class TensorRole { kMerged, kCopied };

/// Floating tensors are merged, integer and boolean ones copied. DataError, naming the source, for
/// the dtypes that are neither (complex, eight bits).
TensorRole tensor_role(const TensorSource& source, const TensorInfo& info);

/// The model that says what tensors there are: the base, or the first expert without one.
const TensorSource& reference_source(const MergeInputs& inputs);

}  // namespace assay
