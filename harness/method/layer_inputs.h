/// What the layers of a network read: for methods that change a network layer by layer and look at
/// what later layers then get.
#pragma once

#include <cstddef>
#include <vector>

#include "harness/checkpoint/tensors.h"
#include "harness/method/evidence.h"

namespace assay {

/// A Network (Evidence::network()) may also be this.
class LayerInputs {
 public:
  virtual ~LayerInputs() = default;
  /// The Gram matrices of what these layers read, by LayerInfo::input: the statistic 'input_gram'
  /// of the network with these weights, of which those that are missing are the reference's, on an
  /// expert's examples. The layers are of that network; those that share an input share a matrix.
  virtual StateDict input_grams(const StateDict& weights, size_t expert,
                                const std::vector<LayerInfo>& layers) const = 0;
};

}  // namespace assay
