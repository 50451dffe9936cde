/// Shared by encoder-decoders with relative position biases, a learned bias per bucket of
/// distances. Query-key products are not scaled.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/model/internal/attention.h"
#include "harness/model/internal/config_fields.h"
#include "harness/model/internal/family.h"
#include "harness/model/internal/layers.h"
#include "harness/model/sequence_to_sequence.h"

namespace assay {

/// Makes the feed-forward of a block of the encoder or the decoder; `start` is the prefix of its
/// weights' names: "decoder.block.3.layer.2.".
using T5FeedForwardMaker = std::function<std::unique_ptr<FeedForward>(bool decoder, int64_t block,
                                                                      const std::string& start)>;

struct T5Config {
  int64_t vocabulary = 0, width = 0, inner = 0, heads = 0, head_size = 0;
  int64_t encoder_layers = 0, decoder_layers = 0;
  int64_t buckets = 0, max_distance = 0;
  double norm_epsilon = 0, output_scale = 1;
  T5FeedForwardMaker feed_forward;
  TokenId start_id = 0;
  std::optional<int64_t> max_positions{};
};

/// Reads all but the feed-forward.
T5Config read_t5_like(ConfigFields& config, bool scales_output);

class T5 final : public SequenceToSequenceArchitecture {
 public:
  /// `json`: returned by config().
  T5(const T5Config& config, Json json);

  Json config() const override { return json_; }
  int64_t vocabulary() const override { return config_.vocabulary; }
  TokenId start_id() const override { return config_.start_id; }
  std::optional<int64_t> max_positions() const override { return config_.max_positions; }
  StateDict initial_weights(uint64_t seed) const override;
  CheckpointNames checkpoint_names() const override;
  std::vector<TensorInfo> tensors() const override;
  /// Without the position biases, which the blocks of a stack share.
  std::vector<std::vector<std::string>> blocks() const override;
  EncodedText encode(const StateDict& weights, const at::Tensor& ids,
                     const at::Tensor& mask) const override;
  at::Tensor decode(const StateDict& weights, const at::Tensor& ids, const EncodedText& text,
                    EncoderDecoderCache* cache) const override;
  at::Tensor vocabulary_logits(const StateDict& weights, const at::Tensor& hidden) const override;

 private:
  struct Block {
    std::string name;
    std::unique_ptr<FeedForward> feed_forward;
  };

  std::vector<TensorInfo> block_tensors(const Block& block) const;
  at::Tensor norm(const StateDict& weights, const std::string& name, const at::Tensor& x) const;
  at::Tensor heads(const at::Tensor& x) const;
  /// Relative position bias [1, heads, tokens, keys]; the tokens are the last of the keys.
  at::Tensor position_bias(const StateDict& weights, const std::string& stack, int64_t tokens,
                           int64_t keys, bool bidirectional) const;
  KvCache::Layer keys_and_values(const StateDict& weights, const std::string& name,
                                 const at::Tensor& x) const;
  at::Tensor attend_to(const StateDict& weights, const std::string& name, const at::Tensor& x,
                       const KvCache::Layer& layer, const AttentionMask& mask,
                       const at::Tensor& bias) const;
  at::Tensor self_attention(const StateDict& weights, const std::string& name, const at::Tensor& x,
                            const AttentionMask& mask, const at::Tensor& bias,
                            KvCache::Layer* cache) const;
  /// Attention to the encoder's hidden states, whose keys and values are computed once per text.
  at::Tensor cross_attention(const StateDict& weights, const std::string& name, const at::Tensor& x,
                             const EncodedText& text, const AttentionMask& mask,
                             KvCache::Layer* cache) const;

  T5Config config_;
  Json json_;
  std::vector<Block> encoder_, decoder_;
};

}  // namespace assay
