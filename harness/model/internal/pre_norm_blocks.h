/// Pre-norm transformer blocks with LayerNorm and biases, as the towers of CLIP and ViT have them:
/// x + attention(norm(x)), then x + feed_forward(norm(x)).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "harness/model/internal/attention.h"
#include "harness/model/internal/layers.h"

namespace assay {

struct PreNormConfig {
  int64_t width = 0, layers = 0, heads = 0;
  double norm_epsilon = 0;
  bool query_bias = true;  ///< of query, key and value
  FeedForwardShape feed_forward{};

  // Names of tensors. That of a part of a block follows the block's.
  std::string block{};  ///< before the index: "vit.encoder.layer."
  std::string query{}, key{}, value{}, attention_output{}, attention_norm{};
  std::string up{}, down{}, feed_forward_norm{};
};

class PreNormBlocks {
 public:
  explicit PreNormBlocks(PreNormConfig config);
  /// Hidden states [n, tokens, width] to the same shape.
  at::Tensor forward(const StateDict& weights, at::Tensor x, const AttentionMask& mask) const;
  /// Appends the tensors of all blocks.
  void add_tensors(std::vector<TensorInfo>& tensors) const;
  /// As Architecture::blocks() has them.
  std::vector<std::vector<std::string>> names() const;

 private:
  struct Block {
    std::string name;
    std::unique_ptr<FeedForward> feed_forward;
  };
  std::vector<TensorInfo> tensors_of(const Block& block) const;
  at::Tensor norm(const StateDict& weights, const std::string& name, const at::Tensor& x) const;
  at::Tensor attention(const StateDict& weights, const std::string& block, const at::Tensor& x,
                       const AttentionMask& mask) const;

  PreNormConfig config_;
  std::vector<Block> blocks_;
};

}  // namespace assay
