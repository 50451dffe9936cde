/// What the routers of a mixture of experts score while the network runs: for training that looks
/// at how evenly they choose.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "harness/method/evidence.h"

namespace assay {

/// A router's scores of the tokens that count.
struct RouterScores {
  at::Tensor logits;  ///< [tokens, experts]; gradients flow through them
  int64_t top_k = 0;  ///< the experts that a token is sent to
};

/// A Network (Evidence::network()) may also be this.
class RoutedNetwork {
 public:
  virtual ~RoutedNetwork() = default;
  /// Network::logits(), and what the routers score in that pass, in the order in which they run:
  /// appended to `routers`.
  virtual at::Tensor routed_logits(const StateDict& weights, size_t expert, int64_t first,
                                   int64_t count, std::vector<RouterScores>& routers) const = 0;
};

/// Those of a network. UserError when it shows none.
const RoutedNetwork& routed_network(const Network& network);

}  // namespace assay
