/// The product of two low-rank factors, computed for a range of elements.
#pragma once

#include <ATen/core/Tensor.h>

namespace assay {

/// Elements [first, first + count) of the flattened product of `left`, [rows, rank], and `right`,
/// [rank, columns], times `scale`, in float32. Every element is summed over the rank in a fixed
/// order, so that it does not depend on the range. Factors that are float32 with contiguous rows
/// are read without a copy.
at::Tensor low_rank_part(const at::Tensor& left, const at::Tensor& right, double scale,
                         int64_t first, int64_t count);

}  // namespace assay
