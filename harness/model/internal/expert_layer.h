/// The feed-forward of a mixture of experts: a router sends every token to a few of many
/// feed-forward networks.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "harness/model/internal/layers.h"

namespace assay {

struct ExpertLayerShape {
  int64_t width = 0;
  int64_t experts = 0;
  int64_t per_token = 0;   ///< the experts that a token is sent to, those of the largest logits
  bool normalized = true;  ///< the weights of a token's experts sum to 1
  bool router_bias = false;
  /// How many tokens of a row an expert takes, the first ones that are sent to it; those that come
  /// later get nothing from it. Padding takes no place. 0: any number.
  int64_t capacity = 0;
  /// How many different experts the model has where several of the router's are one, as the tensor
  /// `router`.slots [experts] says; 0: each is its own.
  int64_t stored = 0;
  /// How many the model has.
  int64_t own() const { return stored > 0 ? stored : experts; }
};

/// y = sum over the token's experts of weight * expert(x). The weights are the softmax, in float32
/// or the wider dtype of x, over the logits of all experts (`router`.weight [experts, width]); of
/// equal logits the first experts' count as larger. Tokens are sorted by expert, so that each
/// expert multiplies its tokens at once. One that a token is sent to by several rows of the router
/// runs once, with the sum of their weights.
std::unique_ptr<FeedForward> expert_layer(const ExpertLayerShape& shape, std::string router,
                                          std::vector<std::unique_ptr<FeedForward>> experts);

/// routed(x) + sigmoid(gate(x)) * shared(x), where `gate`.weight is [1, width]: an expert that
/// every token is sent to.
std::unique_ptr<FeedForward> with_shared_expert(int64_t width, std::unique_ptr<FeedForward> routed,
                                                std::string gate,
                                                std::unique_ptr<FeedForward> shared);
/// routed(x) + shared(x).
std::unique_ptr<FeedForward> with_shared_expert(std::unique_ptr<FeedForward> routed,
                                                std::unique_ptr<FeedForward> shared);

}  // namespace assay
