/// Which units of a network may be reordered without changing what it computes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace assay {

/// Where a tensor holds the units of a group: its dimension `axis`, seen as [outer, units, inner].
/// The channels of a convolution that a linear layer reads flattened have the positions as their
/// `inner`; the heads of an attention have what a head is made of.
struct UnitAxis {
  std::string tensor;
  int64_t axis = 0;
  int64_t outer = 1, inner = 1;
};

/// Units that must be reordered together: the network computes the same when all `axes` are
/// permuted by one permutation. Ainsworth et al., arXiv:2209.04836 §2.
struct PermutationGroup {
  int64_t units = 0;
  /// Whether a sum of two branches joins axes of it, as in a residual stream.
  bool stream = false;
  /// In the order in which a forward pass uses the tensors. A tensor may occur more than once.
  std::vector<UnitAxis> axes{};
};

}  // namespace assay
