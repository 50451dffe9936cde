/// What RAM and RAM+ share, arXiv:2601.13572: which entries an expert changed, and the sum in which
/// an entry that several experts changed is averaged over these.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "methods/dense/weights.h"

namespace assay {

/// Which entries one expert changed, and which of these others changed, too.
struct ChangeCounts {
  double shared = 0, unique = 0;
};

struct ReinforcedSum {
  double epsilon = 1e-5;
  Compute compute = Compute::kFloat32;

  void parameters(auto&& p) {
    p(epsilon,
      {.name = "epsilon", .range = {0, 1}, .help = "changes up to this size count as none"});
    compute_parameter(compute, p);
  }

  /// Of each expert in a part.
  std::vector<ChangeCounts> counts(const TensorJob& part) const;
  /// `factors` multiply what one expert alone changed, one per expert; empty: 1.
  at::Tensor merge(const TensorJob& part, const std::vector<double>& factors) const;
};

}  // namespace assay
