/// The product of two narrow matrices, element range by element range.
#pragma once

#include <ATen/core/Tensor.h>

namespace assay {

/// Elements [first, first + count) of the flattened product of `left`, [rows, rank], and `right`,
/// [rank, columns], times `scale`, in float32. Every element is summed over the rank in order, so
/// that it does not depend on the range it is made in. Factors that are float32 with rows in one
/// piece are read where they lie.
at::Tensor low_rank_part(const at::Tensor& left, const at::Tensor& right, double scale,
                         int64_t first, int64_t count);

}  // namespace assay
