/// What the routers of a mixture of experts score while the network runs, and where they send
/// tokens: for training that looks at how evenly they choose, or has tokens sent otherwise.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "harness/method/evidence.h"

namespace assay {

/// A router's scores of the tokens that count.
struct RouterScores {
  at::Tensor logits;  ///< [tokens, experts]; gradients flow through them
  int64_t top_k = 0;  ///< the experts that a token is sent to
};

/// Where a router sends tokens.
struct ExpertChoice {
  at::Tensor experts;  ///< int64 [tokens, k]: rows of the router's weight
  at::Tensor weights;  ///< [tokens, k]: of their outputs; gradients flow through them
};

/// A router that is about to send tokens, padding among them.
struct TokensToRoute {
  const std::string& router;  ///< the name of its weight
  const at::Tensor& logits;   ///< [tokens, experts]; gradients flow through them
  const at::Tensor& counted;  ///< bool [tokens], false at padding; undefined: all of them count
  /// Where the model sends tokens with such logits. An expert whose logit is minus infinity has no
  /// weight.
  const std::function<ExpertChoice(const at::Tensor& logits)>& own;
};
/// Decides in the place of the model. Where experts have a capacity, k is 1.
using RouteTokens = std::function<ExpertChoice(const TokensToRoute& tokens)>;

/// A Network (Evidence::network()) may also be this.
class RoutedNetwork {
 public:
  virtual ~RoutedNetwork() = default;
  /// Network::logits(), and what the routers score in that pass, in the order in which they run:
  /// appended to `routers`. `route`: sends the tokens, under the routers' names in `weights`;
  /// empty: the model does, in Network::logits_by_length(), and each router has the tokens of all
  /// examples, of which the shortest may come first.
  virtual at::Tensor routed_logits(const StateDict& weights, size_t expert, int64_t first,
                                   int64_t count, const RouteTokens& route,
                                   std::vector<RouterScores>& routers) const = 0;
};

/// Those of a network. UserError when it shows none.
const RoutedNetwork& routed_network(const Network& network);

}  // namespace assay
