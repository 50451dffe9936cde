/// Relative positions as T5 sees them (Raffel et al., arXiv:1910.10683).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace assay {

/// The bucket, int64, of each distance (key minus query): one per distance up to a limit, then
/// logarithmic ones. Half of the buckets are for later keys when attention is bidirectional.
at::Tensor distance_buckets(const at::Tensor& distance, bool bidirectional, int64_t buckets,
                            int64_t max_distance);

}  // namespace assay
