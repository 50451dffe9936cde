/// Hidden states of a network on the experts' examples. For routers: what a block reads tells which
/// expert a text is like. For methods that learn: a merged model is to have an expert's states.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "harness/method/evidence.h"

namespace assay {

/// Of the base, or else of the first expert. Examples are those of Network.
class HiddenStates {
 public:
  enum class Tap {
    kBlockInput,       ///< the residual stream before the block
    kFeedForwardInput  ///< what the block's feed-forward reads, after its norm: a router's input
  };
  enum class Tokens { kAll, kLast };

  virtual ~HiddenStates() = default;
  /// For each block, float64 [count, width] of the expert's examples [first, first + count): the
  /// mean over an example's tokens, or the last one's. Padding does not count. UserError when the
  /// architecture shows no such states.
  virtual std::vector<at::Tensor> states(size_t expert, int64_t first, int64_t count, Tap tap,
                                         Tokens tokens) const = 0;
  /// Float64 [count, width]: for each example the sum of its tokens' embeddings. Runs no block.
  virtual at::Tensor embedding_sums(size_t expert, int64_t first, int64_t count) const = 0;
  /// Examples of what an expert is not for: the index that they have in place of an expert's.
  /// Absent where the merge's file gives none.
  virtual std::optional<size_t> negatives(size_t /*expert*/) const { return std::nullopt; }
  /// Float64 [count, vocabulary]: how often each example has each token. Runs no block.
  virtual at::Tensor token_counts(size_t expert, int64_t first, int64_t count) const = 0;
};

/// Those of a network. UserError when it has none.
const HiddenStates& hidden_states(const Network& network);

/// A Network (Evidence::network()) may also be this.
class StatesNetwork {
 public:
  virtual ~StatesNetwork() = default;
  /// Network::logits(), and what each block reads in that pass: float32 [tokens, width], of the
  /// tokens that count, appended to `states`. Gradients reach the `weights` that require them. Of
  /// architectures that show no hidden states there are none.
  virtual at::Tensor logits_and_states(const StateDict& weights, size_t expert, int64_t first,
                                       int64_t count, std::vector<at::Tensor>& states) const = 0;
};

/// Those of a network. One that shows no states gives its logits alone.
at::Tensor logits_and_states(const Network& network, const StateDict& weights, size_t expert,
                             int64_t first, int64_t count, std::vector<at::Tensor>& states);

}  // namespace assay
