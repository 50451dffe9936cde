/// Which tensors of a model take part in a merge.
#pragma once

#include "harness/merge/merge.h"

namespace assay {

enum class TensorRole { kMerged, kCopied };

/// Floating tensors are merged; buffers, integer and boolean tensors are copied, and what an
/// AdjustedSource has among its copied ones. DataError, naming the source, for the dtypes that are
/// neither (complex, eight bits).
TensorRole tensor_role(const TensorSource& source, const TensorInfo& info);

/// Whether a tensor is a buffer, by its name: what a model computes from its configuration and
/// stores nevertheless. Position ids, inverse frequencies, attention masks ("masked_bias",
/// "attn.bias" of shape [1, 1, n, n]). Buffers are not parameters, whatever their dtype and shape.
bool is_buffer(const TensorInfo& info);

/// The model that says what tensors there are: the base, or the first expert without one.
const TensorSource& reference_source(const MergeInputs& inputs);

}  // namespace assay
