#include "harness/model/architectures/t5_like.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "harness/core/error.h"
#include "harness/model/internal/relative_positions.h"
#include "harness/model/observer.h"

namespace assay {
namespace {

std::string position_table(const std::string& stack) {
  return stack + ".block.0.layer.0.SelfAttention.relative_attention_bias";
}

}  // namespace

T5Config read_t5_like(ConfigFields& config, bool scales_output) {
  T5Config c;
  c.vocabulary = config.size("vocab_size");
  c.width = config.size("d_model");
  c.heads = config.size("num_heads");
  c.head_size = config.size("d_kv");
  c.encoder_layers = config.layers("num_layers");
  c.decoder_layers = config.layers("num_decoder_layers", c.encoder_layers);
  c.buckets = config.size("relative_attention_num_buckets", 32);
  c.max_distance = config.size("relative_attention_max_distance", 128);
  c.norm_epsilon = config.positive("layer_norm_epsilon", 1e-6);
  c.max_positions = config.optional_size("n_positions");
  c.start_id = static_cast<TokenId>(config.count("decoder_start_token_id", 0));
  if (c.buckets % 4 != 0 || c.max_distance <= c.buckets / 2)
    user_error(
        "{}: relative_attention_num_buckets {} must be a multiple of 4 and less than twice "
        "relative_attention_max_distance {}",
        config.where(), c.buckets, c.max_distance);
  // Version 1.0 scales the input of the head. Version 1.1 does not; its untied head identifies it.
  // transformers 5 has its own field for this.
  const bool tied = config.flag("tie_word_embeddings", true);
  if (config.flag("scale_decoder_outputs", tied) && scales_output)
    c.output_scale = 1 / std::sqrt(static_cast<double>(c.width));
  config.ignore({"classifier_dropout", "dropout_rate", "initializer_factor", "is_encoder_decoder",
                 "output_past"});
  return c;
}

T5::T5(const T5Config& config, Json json) : config_(config), json_(std::move(json)) {
  for (int64_t i = 0; i < config.encoder_layers; ++i) {
    const std::string block = fmt::format("encoder.block.{}.layer.", i);
    encoder_.push_back({block, config.feed_forward(false, i, block + "1.")});
  }
  for (int64_t i = 0; i < config.decoder_layers; ++i) {
    const std::string block = fmt::format("decoder.block.{}.layer.", i);
    decoder_.push_back({block, config.feed_forward(true, i, block + "2.")});
  }
}

StateDict T5::initial_weights(uint64_t seed) const {
  return normal_weights(tensors(), 1 / std::sqrt(static_cast<double>(config_.width)), 1.0, seed);
}

CheckpointNames T5::checkpoint_names() const {
  CheckpointNames names;
  names.tied = {{"encoder.embed_tokens.weight", "shared.weight"},
                {"decoder.embed_tokens.weight", "shared.weight"}};
  names.substituted = {{"lm_head.weight", "shared.weight"}};
  names.ignored = {"decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"};
  return names;
}

std::vector<TensorInfo> T5::tensors() const {
  std::vector<TensorInfo> all;
  add_linear(all, "shared", config_.width, config_.vocabulary, false);
  add_linear(all, "lm_head", config_.width, config_.vocabulary, false);
  for (const char* stack : {"encoder", "decoder"}) {
    add_linear(all, position_table(stack), config_.heads, config_.buckets, false);
    add_norm(all, fmt::format("{}.final_layer_norm", stack), config_.width, NormKind::kRms);
  }
  for (const std::vector<Block>* blocks : {&encoder_, &decoder_})
    for (const Block& block : *blocks)
      for (TensorInfo& info : block_tensors(block)) all.push_back(std::move(info));
  std::sort(all.begin(), all.end(),
            [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; });
  return all;
}

std::vector<std::vector<std::string>> T5::blocks() const {
  std::vector<std::vector<std::string>> names;
  for (const std::vector<Block>* blocks : {&encoder_, &decoder_})
    for (const Block& block : *blocks) names.push_back(tensor_names(block_tensors(block)));
  return names;
}

EncodedText T5::encode(const StateDict& weights, const at::Tensor& ids,
                       const at::Tensor& mask) const {
  const CountedTokens counted(mask);
  at::Tensor x = embedding(weights, "shared", ids, "token id");
  const int64_t tokens = ids.size(1);
  AttentionMask token_mask;
  if (mask.defined()) token_mask.allowed = mask.to(x.device()).unsqueeze(1).unsqueeze(2);
  const at::Tensor bias = position_bias(weights, "encoder", tokens, tokens, true);
  for (const Block& block : encoder_) {
    x = x + self_attention(weights, block.name + "0.SelfAttention",
                           norm(weights, block.name + "0.layer_norm", x), token_mask, bias,
                           nullptr);
    x = x + block.feed_forward->forward(weights, norm(weights, block.name + "1.layer_norm", x));
  }
  return {norm(weights, "encoder.final_layer_norm", x), mask};
}

at::Tensor T5::decode(const StateDict& weights, const at::Tensor& ids, const EncodedText& text,
                      EncoderDecoderCache* cache) const {
  at::Tensor x = embedding(weights, "shared", ids, "token id");
  const int64_t cached = cache ? cache->self_attention.tokens() : 0, tokens = ids.size(1);
  const at::Tensor positions =
      at::arange(cached + tokens, at::TensorOptions(at::kLong).device(x.device()))
          .expand({ids.size(0), cached + tokens});
  // A bias needs an explicit mask, and a caller's mask yields one.
  const at::Tensor all =
      at::ones({1, tokens, cached + tokens}, at::TensorOptions(at::kBool).device(x.device()));
  const AttentionMask causal =
      causal_mask({positions.narrow(1, cached, tokens), positions, all}, 0);
  AttentionMask text_mask;
  if (text.mask.defined()) text_mask.allowed = text.mask.to(x.device()).unsqueeze(1).unsqueeze(2);
  const at::Tensor bias = position_bias(weights, "decoder", tokens, cached + tokens, false);
  if (cache) {
    cache->self_attention.layers.resize(decoder_.size());
    cache->cross_attention.resize(decoder_.size());
    cache->self_attention.positions = positions;
  }
  for (size_t i = 0; i < decoder_.size(); ++i) {
    const Block& block = decoder_[i];
    x = x + self_attention(weights, block.name + "0.SelfAttention",
                           norm(weights, block.name + "0.layer_norm", x), causal, bias,
                           cache ? &cache->self_attention.layers[i] : nullptr);
    const at::Tensor cross_input = norm(weights, block.name + "1.layer_norm", x);
    x = x + cross_attention(weights, block.name + "1.EncDecAttention", cross_input, text, text_mask,
                            cache ? &cache->cross_attention[i] : nullptr);
    x = x + block.feed_forward->forward(weights, norm(weights, block.name + "2.layer_norm", x));
  }
  return norm(weights, "decoder.final_layer_norm", x);
}

at::Tensor T5::vocabulary_logits(const StateDict& weights, const at::Tensor& hidden) const {
  return linear(weights, "lm_head",
                config_.output_scale == 1 ? hidden : hidden * config_.output_scale);
}

std::vector<TensorInfo> T5::block_tensors(const Block& block) const {
  const bool cross_attends = block.name.starts_with("decoder.");
  const int64_t attention_width = config_.heads * config_.head_size;
  std::vector<TensorInfo> all = block.feed_forward->tensors();
  const auto add_attention = [&](const std::string& layer, const std::string& name) {
    for (const char* part : {".q", ".k", ".v"})
      add_linear(all, layer + name + part, config_.width, attention_width, false);
    add_linear(all, layer + name + ".o", attention_width, config_.width, false);
    add_norm(all, layer + "layer_norm", config_.width, NormKind::kRms);
  };
  add_attention(block.name + "0.", "SelfAttention");
  if (cross_attends) add_attention(block.name + "1.", "EncDecAttention");
  add_norm(all, block.name + (cross_attends ? "2" : "1") + ".layer_norm", config_.width,
           NormKind::kRms);
  return all;
}

at::Tensor T5::norm(const StateDict& weights, const std::string& name, const at::Tensor& x) const {
  return normalize(weights, name, x, NormKind::kRms, config_.norm_epsilon);
}

at::Tensor T5::heads(const at::Tensor& x) const {
  return x.view({x.size(0), x.size(1), config_.heads, config_.head_size}).transpose(1, 2);
}

at::Tensor T5::position_bias(const StateDict& weights, const std::string& stack, int64_t tokens,
                             int64_t keys, bool bidirectional) const {
  const std::string name = position_table(stack);
  const auto options = weights.at(name + ".weight").options().dtype(at::kLong).requires_grad(false);
  const at::Tensor distance =
      at::arange(keys, options) - at::arange(keys - tokens, keys, options).unsqueeze(1);
  return embedding(weights, name,
                   distance_buckets(distance, bidirectional, config_.buckets, config_.max_distance),
                   "bucket")
      .permute({2, 0, 1})
      .unsqueeze(0);
}

KvCache::Layer T5::keys_and_values(const StateDict& weights, const std::string& name,
                                   const at::Tensor& x) const {
  return {heads(linear(weights, name + ".k", x)), heads(linear(weights, name + ".v", x))};
}

at::Tensor T5::attend_to(const StateDict& weights, const std::string& name, const at::Tensor& x,
                         const KvCache::Layer& layer, const AttentionMask& mask,
                         const at::Tensor& bias) const {
  const at::Tensor queries = heads(linear(weights, name + ".q", x));
  return linear(weights, name + ".o",
                attend(queries, layer.keys, layer.values, mask, {1, 0}, bias));
}

at::Tensor T5::self_attention(const StateDict& weights, const std::string& name,
                              const at::Tensor& x, const AttentionMask& mask,
                              const at::Tensor& bias, KvCache::Layer* cache) const {
  KvCache::Layer layer = keys_and_values(weights, name, x);
  if (cache) {
    if (cache->keys.defined()) {
      layer.keys = at::cat({cache->keys, layer.keys}, 2);
      layer.values = at::cat({cache->values, layer.values}, 2);
    }
    *cache = layer;
  }
  return attend_to(weights, name, x, layer, mask, bias);
}

at::Tensor T5::cross_attention(const StateDict& weights, const std::string& name,
                               const at::Tensor& x, const EncodedText& text,
                               const AttentionMask& mask, KvCache::Layer* cache) const {
  KvCache::Layer layer;
  if (cache && cache->keys.defined()) {
    layer = *cache;
  } else {
    const CountedTokens counted(text.mask);  // of the text, while all else sees the decoder's
    layer = keys_and_values(weights, name, text.states);
  }
  if (cache) *cache = layer;
  return attend_to(weights, name, x, layer, mask, {});
}

}  // namespace assay
