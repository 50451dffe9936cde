/// The decoder that most language models share: a stack of blocks of self-attention and
/// feed-forward. A family's file describes its variant in a DecoderConfig.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/model/internal/config_fields.h"
#include "harness/model/internal/family.h"
#include "harness/model/internal/layers.h"
#include "harness/model/internal/rotary.h"
#include "harness/model/language.h"

namespace assay {

/// Names of the weights without ".weight" and ".bias". Names within a block follow "LAYERS.INDEX.".
/// Empty: the decoder has no such part.
struct DecoderNames {
  std::string embedding, positions, layers, final_norm, head;
  std::string attention_norm, after_attention_norm, feed_forward_norm, after_feed_forward_norm;
  std::string query, key, value, query_key_value, attention_output;
  std::string query_norm, key_norm;  ///< before the rotary embedding: see QueryKeyNorm
};

/// Order of queries, keys and values in a fused weight (DecoderNames::query_key_value).
enum class QkvLayout {
  kBlocks,   ///< all queries, then all keys, then all values
  kPerHead,  ///< per head: its query, key and value
};

/// What DecoderNames::query_norm and key_norm are norms over.
enum class QueryKeyNorm { kEachHead, kAllHeads };

/// Makes the feed-forward of a block; `block` is the prefix of its weights' names.
using FeedForwardMaker =
    std::function<std::unique_ptr<FeedForward>(int64_t layer, const std::string& block)>;

struct DecoderConfig {
  int64_t vocabulary = 0, width = 0, layers = 0, heads = 0, kv_heads = 0, head_size = 0;
  int64_t max_positions = 0;
  DecoderNames names;
  FeedForwardMaker feed_forward;
  NormKind norm = NormKind::kRms;
  double norm_epsilon = 0;
  std::optional<RotaryConfig> rotary;  ///< none: learned positions (DecoderNames::positions)
  QkvLayout qkv_layout = QkvLayout::kBlocks;
  QueryKeyNorm query_key_norm = QueryKeyNorm::kEachHead;
  LinearLayout attention_layout = LinearLayout::kOutIn;
  bool qkv_bias = false, attention_output_bias = false;
  bool parallel_residual = false;  ///< the feed-forward reads the block's input
  bool tied_head = false;          ///< the embedding is the head
  double embedding_scale = 1;
  double attention_scale = 0;   ///< 0: 1 / sqrt(head_size)
  bool scale_by_layer = false;  ///< also scales attention of layer i by 1 / (i + 1)
  double attention_softcap = 0, logit_softcap = 0;  ///< 0: none
  std::vector<int64_t> windows;  ///< sliding windows, one per layer; 0 or empty: full attention
  CheckpointNames checkpoint_names;
  double initializer_range = 0.02;
};

/// A model's weights, and its share in what its layers add to a residual stream.
struct LayerShare {
  const StateDict* weights;
  double share;
};

class Decoder final : public LanguageArchitecture {
 public:
  /// `config`: returned by config().
  Decoder(DecoderConfig decoder, Json config);

  Json config() const override { return json_; }
  std::vector<TensorInfo> tensors() const override;
  StateDict initial_weights(uint64_t seed) const override;
  CheckpointNames checkpoint_names() const override { return config_.checkpoint_names; }
  std::vector<std::vector<std::string>> blocks() const override;
  bool can_be_split() const override { return true; }
  int64_t vocabulary() const override { return config_.vocabulary; }
  int64_t max_positions() const override { return config_.max_positions; }
  bool can_extend(int64_t from, int64_t to) const override {
    return !rotary_ || rotary_->same_angles(from, to);
  }
  at::Tensor hidden(const StateDict& weights, const TokenBatch& batch,
                    KvCache* cache) const override;
  /// hidden() of several models on one residual stream: what their attentions add to it is summed
  /// by their shares, then what their feed-forwards add. Embedding and last norm are the first
  /// one's. Each has its own layers in the cache.
  at::Tensor mixed_hidden(const std::vector<LayerShare>& models, const TokenBatch& batch,
                          KvCache* cache) const;
  at::Tensor vocabulary_logits(const StateDict& weights, const at::Tensor& hidden) const override;

 private:
  struct Block {
    DecoderNames names;  ///< full names
    std::unique_ptr<FeedForward> feed_forward;
    int64_t window = 0;
    double attention_scale = 1;
  };
  struct ForwardPass;
  std::vector<TensorInfo> block_tensors(const Block& block) const;
  RotaryTable rotary_table(const at::Tensor& positions, const at::Tensor& all_positions,
                           at::ScalarType dtype) const;
  at::Tensor attention(const StateDict& weights, const Block& block, const at::Tensor& x,
                       const ForwardPass& pass, KvCache::Layer* cache) const;
  /// Moves the hidden states `x` and what else the blocks share to the device of this block.
  static void move_to_block(const StateDict& weights, const Block& block, at::Tensor& x,
                            ForwardPass& pass);
  /// What attention adds to the residual stream `x`.
  at::Tensor attention_term(const StateDict& weights, const Block& block, const at::Tensor& x,
                            const ForwardPass& pass, KvCache::Layer* cache) const;
  /// What the feed-forward adds, of `x` as it reads it.
  at::Tensor feed_forward_term(const StateDict& weights, const Block& block,
                               const at::Tensor& x) const;
  at::Tensor run_block(const StateDict& weights, const Block& block, const at::Tensor& x,
                       const ForwardPass& pass, KvCache::Layer* cache) const;
  /// What the blocks share, and the embedded tokens `x`.
  ForwardPass begin(const StateDict& weights, const TokenBatch& batch, const KvCache* cache,
                    at::Tensor& x) const;
  at::Tensor norm(const StateDict& weights, const std::string& name, const at::Tensor& x) const {
    return normalize(weights, name, x, config_.norm, config_.norm_epsilon);
  }

  DecoderConfig config_;
  Json json_;
  std::vector<Block> blocks_;
  std::optional<Rotary> rotary_;
};

}  // namespace assay

/// A family whose read() returns a DecoderConfig.
#define ASSAY_DECODER(Type) ASSAY_FAMILY(Type, ::assay::Decoder)
