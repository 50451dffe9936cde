/// Zipping: which units of several networks become one.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace assay {

struct ZipOptions {
  double alpha = 0.3;  ///< a merged unit's positive similarities to others are multiplied by it
  double beta = 0;     ///< the share of its removed units that a network may merge with its own
};

struct ZippedUnits {
  /// For each of models * units units the one of the result, of `units`, that it goes into.
  std::vector<int64_t> unit_of;
  double similarity = 0;  ///< of the pairs that were merged, when they were: the mean
};

/// Stoica et al., arXiv:2305.03053 §4: the most alike pair is merged, whose similarities to others
/// are the smaller ones of the two, times alpha, until as many are left as one network has. Of
/// equal pairs the first. `similarities`: float64 [models * units, models * units], symmetric.
/// Other than in published code a negative similarity does not grow by alpha, and the origin of
/// units is tracked through merges.
ZippedUnits zip_units(const at::Tensor& similarities, int64_t units, int64_t models,
                      const ZipOptions& options);

}  // namespace assay
