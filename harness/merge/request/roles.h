/// Which tensors of a model take part in a merge. For the files of this folder.
#pragma once

#include "harness/merge/merge.h"

namespace assay {

enum class TensorRole { kMerged, kCopied };

/// Floating tensors are merged; buffers, integer and boolean tensors are copied, and what an
/// AdjustedSource has among its copied ones. DataError, naming the source, for the dtypes that are
/// neither (complex, eight bits).
TensorRole tensor_role(const TensorSource& source, const TensorInfo& info);

/// Whether a tensor is what a model computes from its configuration and stores all the same, by its
/// name: position ids, inverse frequencies, attention masks ("masked_bias", "attn.bias" of shape
/// [1, 1, n, n]). Such are no parameters, whatever their dtype and shape.
bool is_buffer(const TensorInfo& info);

/// The model that says what tensors there are: the base, or the first expert without one.
const TensorSource& reference_source(const MergeInputs& inputs);

}  // namespace assay
