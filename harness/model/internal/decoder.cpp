#include "harness/model/internal/decoder.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

#include "harness/core/error.h"
#include "harness/core/rng.h"
#include "harness/model/internal/attention.h"
#include "harness/model/observer.h"
#include "harness/model/recompute.h"

namespace assay {
namespace {

DecoderNames full_names(const DecoderNames& names, const std::string& block) {
  DecoderNames full = names;
  for (std::string DecoderNames::*name :
       {&DecoderNames::attention_norm, &DecoderNames::after_attention_norm,
        &DecoderNames::feed_forward_norm, &DecoderNames::after_feed_forward_norm,
        &DecoderNames::query, &DecoderNames::key, &DecoderNames::value,
        &DecoderNames::query_key_value, &DecoderNames::attention_output, &DecoderNames::query_norm,
        &DecoderNames::key_norm})
    if (!(full.*name).empty()) (full.*name).insert(0, block);
  return full;
}

at::Tensor softcap(const at::Tensor& x, double cap) {
  return cap == 0 ? x : at::tanh(x / cap) * cap;
}

/// [rows, tokens, heads * size] to [rows, heads, tokens, size].
at::Tensor split_heads(const at::Tensor& x, int64_t size) {
  return x.view({x.size(0), x.size(1), x.size(2) / size, size}).transpose(1, 2);
}

void show(BlockPlace place, const at::Tensor& x) {
  if (LayerObserver* observer = LayerObserver::active()) observer->hidden(place, x);
}

void check_sizes(const DecoderConfig& c, const std::string& model) {
  if (c.heads % c.kv_heads != 0)
    user_error("{}: {} attention heads cannot share {} key-value heads evenly", model, c.heads,
               c.kv_heads);
  if (c.rotary && c.rotary->size > c.head_size)
    user_error("{}: {} values of a head of {} are to be rotated", model, c.rotary->size,
               c.head_size);
}

}  // namespace

/// State of one forward pass that all blocks share.
struct Decoder::ForwardPass {
  RotaryTable rotary;
  Visibility visibility;
  mutable std::map<int64_t, AttentionMask> masks;  ///< by window

  void move(at::Device device) {
    for (at::Tensor* tensor : {&rotary.cosines, &rotary.sines, &visibility.query_positions,
                               &visibility.key_positions, &visibility.mask})
      if (tensor->defined()) *tensor = tensor->to(device);
    masks.clear();
  }

  const AttentionMask& mask(int64_t window) const {
    const auto it = masks.find(window);
    return it != masks.end() ? it->second
                             : masks.emplace(window, causal_mask(visibility, window)).first->second;
  }
};

Decoder::Decoder(DecoderConfig decoder, Json config)
    : config_(std::move(decoder)), json_(std::move(config)) {
  check_sizes(config_, json_.at("model_type").get<std::string>());
  const double scale = config_.attention_scale != 0
                           ? config_.attention_scale
                           : 1 / std::sqrt(static_cast<double>(config_.head_size));
  for (int64_t i = 0; i < config_.layers; ++i) {
    const std::string prefix = fmt::format("{}.{}.", config_.names.layers, i);
    Block block;
    block.names = full_names(config_.names, prefix);
    block.feed_forward = config_.feed_forward(i, prefix);
    block.window = config_.windows.empty() ? 0 : config_.windows.at(static_cast<size_t>(i));
    block.attention_scale = config_.scale_by_layer ? scale / static_cast<double>(i + 1) : scale;
    blocks_.push_back(std::move(block));
  }
  if (config_.rotary) rotary_.emplace(*config_.rotary);
}

std::vector<TensorInfo> Decoder::block_tensors(const Block& block) const {
  const DecoderConfig& c = config_;
  const DecoderNames& n = block.names;
  const int64_t queries = c.heads * c.head_size, keys = c.kv_heads * c.head_size;
  std::vector<TensorInfo> all = block.feed_forward->tensors();
  const auto add = [&](const std::string& name, int64_t in, int64_t out, bool bias) {
    if (!name.empty()) add_linear(all, name, in, out, bias, c.attention_layout);
  };
  const auto add_any_norm = [&](const std::string& name, int64_t width) {
    if (!name.empty()) add_norm(all, name, width, c.norm);
  };
  for (const std::string& name :
       {n.attention_norm, n.after_attention_norm, n.feed_forward_norm, n.after_feed_forward_norm})
    add_any_norm(name, c.width);
  add(n.query, c.width, queries, c.qkv_bias);
  add(n.key, c.width, keys, c.qkv_bias);
  add(n.value, c.width, keys, c.qkv_bias);
  add(n.query_key_value, c.width, queries + 2 * keys, c.qkv_bias);
  add(n.attention_output, queries, c.width, c.attention_output_bias);
  const bool of_all = c.query_key_norm == QueryKeyNorm::kAllHeads;
  add_any_norm(n.query_norm, of_all ? queries : c.head_size);
  add_any_norm(n.key_norm, of_all ? keys : c.head_size);
  return all;
}

std::vector<std::vector<std::string>> Decoder::blocks() const {
  std::vector<std::vector<std::string>> names;
  for (const Block& block : blocks_) names.push_back(tensor_names(block_tensors(block)));
  return names;
}

std::vector<TensorInfo> Decoder::tensors() const {
  const DecoderConfig& c = config_;
  std::vector<TensorInfo> all;
  add_linear(all, c.names.embedding, c.width, c.vocabulary, false);
  if (!c.names.positions.empty())
    add_linear(all, c.names.positions, c.width, c.max_positions, false);
  if (!c.tied_head) add_linear(all, c.names.head, c.width, c.vocabulary, false);
  add_norm(all, c.names.final_norm, c.width, c.norm);
  for (const Block& block : blocks_)
    for (TensorInfo& info : block_tensors(block)) all.push_back(std::move(info));
  std::sort(all.begin(), all.end(),
            [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; });
  return all;
}

StateDict Decoder::initial_weights(uint64_t seed) const {
  return normal_weights(tensors(), config_.initializer_range,
                        config_.norm == NormKind::kRmsPlusOne ? 0.0 : 1.0, seed);
}

at::Tensor Decoder::attention(const StateDict& weights, const Block& block, const at::Tensor& x,
                              const ForwardPass& pass, KvCache::Layer* cache) const {
  const DecoderNames& n = block.names;
  const DecoderConfig& c = config_;
  const auto project = [&](const std::string& name) {
    return linear(weights, name, x, c.attention_layout);
  };
  at::Tensor queries, keys, values;
  const bool normed = !n.query_norm.empty();
  const bool of_all = normed && c.query_key_norm == QueryKeyNorm::kAllHeads;
  if (n.query_key_value.empty()) {
    queries = project(n.query);
    keys = project(n.key);
    if (of_all) {
      queries = norm(weights, n.query_norm, queries);
      keys = norm(weights, n.key_norm, keys);
    }
    queries = split_heads(queries, c.head_size);
    keys = split_heads(keys, c.head_size);
    values = split_heads(project(n.value), c.head_size);
  } else if (c.qkv_layout == QkvLayout::kPerHead) {
    const auto parts = split_heads(project(n.query_key_value), 3 * c.head_size).chunk(3, -1);
    queries = parts[0], keys = parts[1], values = parts[2];
  } else {
    const int64_t kv_width = c.kv_heads * c.head_size;
    const auto parts = project(n.query_key_value)
                           .split_with_sizes({c.heads * c.head_size, kv_width, kv_width}, -1);
    queries = split_heads(parts[0], c.head_size);
    keys = split_heads(parts[1], c.head_size);
    values = split_heads(parts[2], c.head_size);
  }
  if (normed && !of_all) {
    queries = norm(weights, n.query_norm, queries);
    keys = norm(weights, n.key_norm, keys);
  }
  if (rotary_) {
    queries = Rotary::rotate(queries, pass.rotary);
    keys = Rotary::rotate(keys, pass.rotary);
  }
  if (cache) {
    if (cache->keys.defined()) {
      keys = at::cat({cache->keys, keys}, 2);
      values = at::cat({cache->values, values}, 2);
    }
    cache->keys = keys;
    cache->values = values;
  }
  return linear(weights, n.attention_output,
                attend(queries, keys, values, pass.mask(block.window),
                       {block.attention_scale, c.attention_softcap}),
                c.attention_layout);
}

void Decoder::move_to_block(const StateDict& weights, const Block& block, at::Tensor& x,
                            ForwardPass& pass) {
  const at::Device device = weights.at(block.names.attention_output + ".weight").device();
  if (device == x.device()) return;
  x = x.to(device);
  pass.move(device);
}

at::Tensor Decoder::attention_term(const StateDict& weights, const Block& block,
                                   const at::Tensor& x, const ForwardPass& pass,
                                   KvCache::Layer* cache) const {
  const DecoderNames& n = block.names;
  const at::Tensor out = attention(weights, block, norm(weights, n.attention_norm, x), pass, cache);
  return n.after_attention_norm.empty() ? out : norm(weights, n.after_attention_norm, out);
}

at::Tensor Decoder::feed_forward_term(const StateDict& weights, const Block& block,
                                      const at::Tensor& x) const {
  const DecoderNames& n = block.names;
  const at::Tensor normed = norm(weights, n.feed_forward_norm, x);
  show(BlockPlace::kFeedForwardInput, normed);
  const at::Tensor out = block.feed_forward->forward(weights, normed);
  return n.after_feed_forward_norm.empty() ? out : norm(weights, n.after_feed_forward_norm, out);
}

at::Tensor Decoder::run_block(const StateDict& weights, const Block& block, const at::Tensor& x,
                              const ForwardPass& pass, KvCache::Layer* cache) const {
  show(BlockPlace::kInput, x);
  const at::Tensor after_attention = x + attention_term(weights, block, x, pass, cache);
  return after_attention +
         feed_forward_term(weights, block, config_.parallel_residual ? x : after_attention);
}

RotaryTable Decoder::rotary_table(const at::Tensor& positions, const at::Tensor& all_positions,
                                  at::ScalarType dtype) const {
  if (!rotary_->depends_on_length()) return rotary_->table(positions, {}, dtype);
  const at::Tensor lengths = all_positions.amax(1) + 1;
  const int64_t cached = all_positions.size(1) - positions.size(1);
  if (cached > 0) {
    const at::Tensor cached_lengths = all_positions.narrow(1, 0, cached).amax(1) + 1;
    for (int64_t row = 0; row < lengths.size(0); ++row)
      if (!can_extend(cached_lengths[row].item<int64_t>(), lengths[row].item<int64_t>()))
        user_error(
            "rotary angles change when a text grows from {} to "
            "{} tokens: it must be recomputed, without the cache",
            cached_lengths[row].item<int64_t>(), lengths[row].item<int64_t>());
  }
  return rotary_->table(positions, lengths, dtype);
}

Decoder::ForwardPass Decoder::begin(const StateDict& weights, const TokenBatch& batch,
                                    const KvCache* cache, at::Tensor& x) const {
  const DecoderConfig& c = config_;
  x = embedding(weights, c.names.embedding, batch.ids, "token id");
  const at::Device device = x.device();
  if (c.embedding_scale != 1)
    x = x * at::scalar_tensor(c.embedding_scale, x.options());  // rounded to the weights' dtype

  ForwardPass pass;
  const at::Tensor positions = batch.positions.defined()
                                   ? batch.positions.to(device)
                                   : at::arange(cache ? cache->tokens() : 0,
                                                (cache ? cache->tokens() : 0) + batch.ids.size(1),
                                                at::TensorOptions(at::kLong).device(device))
                                         .expand({batch.ids.size(0), batch.ids.size(1)});
  const at::Tensor all_positions =
      cache && cache->positions.defined() ? at::cat({cache->positions, positions}, 1) : positions;
  pass.visibility = {positions, all_positions, batch.mask};
  if (!c.names.positions.empty())
    x = x + embedding(weights, c.names.positions, positions, "position");
  if (rotary_) pass.rotary = rotary_table(positions, all_positions, x.scalar_type());
  return pass;
}

at::Tensor Decoder::hidden(const StateDict& weights, const TokenBatch& batch,
                           KvCache* cache) const {
  at::Tensor x;
  ForwardPass pass = begin(weights, batch, cache, x);
  const at::Device device = x.device();
  if (!cache) {
    const bool recomputes = RecomputeBlocks::active() && c10::GradMode::is_enabled();
    const auto kept = recomputes ? std::make_shared<const StateDict>(weights) : nullptr;
    for (const Block& block : blocks_) {
      move_to_block(weights, block, x, pass);
      x = recomputes ? recomputed(
                           [this, &block, kept, pass](const at::Tensor& input) {
                             return run_block(*kept, block, input, pass, nullptr);
                           },
                           x)
                     : run_block(weights, block, x, pass, nullptr);
    }
    return norm(weights, config_.names.final_norm, x.to(device));
  }
  const int64_t cached = cache->tokens();
  cache->layers.resize(blocks_.size());
  cache->positions = pass.visibility.key_positions;
  try {
    for (size_t i = 0; i < blocks_.size(); ++i) {
      move_to_block(weights, blocks_[i], x, pass);
      x = run_block(weights, blocks_[i], x, pass, &cache->layers[i]);
    }
  } catch (...) {  // out of memory: the caller may try again with fewer rows
    cache->truncate(cached);
    throw;
  }
  return norm(weights, config_.names.final_norm, x.to(device));
}

at::Tensor Decoder::mixed_hidden(const std::vector<LayerShare>& models, const TokenBatch& batch,
                                 KvCache* cache) const {
  const StateDict& first = *models.front().weights;
  at::Tensor x;
  const ForwardPass pass = begin(first, batch, cache, x);
  const int64_t cached = cache ? cache->tokens() : 0;
  if (cache) {
    cache->layers.resize(blocks_.size() * models.size());
    cache->positions = pass.visibility.key_positions;
  }
  const auto sum = [&](const auto& term) {
    at::Tensor all;
    for (size_t i = 0; i < models.size(); ++i) {
      const at::Tensor own = term(i) * models[i].share;
      all = all.defined() ? all + own : own;
    }
    return all;
  };
  try {
    for (size_t place = 0; place < blocks_.size(); ++place) {
      const Block& block = blocks_[place];
      const at::Tensor after_attention =
          x + sum([&](size_t i) {
            KvCache::Layer* own = cache ? &cache->layers[place * models.size() + i] : nullptr;
            return attention_term(*models[i].weights, block, x, pass, own);
          });
      const at::Tensor& read = config_.parallel_residual ? x : after_attention;
      x = after_attention +
          sum([&](size_t i) { return feed_forward_term(*models[i].weights, block, read); });
    }
  } catch (...) {  // as in hidden()
    if (cache) cache->truncate(cached);
    throw;
  }
  return norm(first, config_.names.final_norm, x);
}

at::Tensor Decoder::vocabulary_logits(const StateDict& weights, const at::Tensor& hidden) const {
  const std::string& head = config_.tied_head ? config_.names.embedding : config_.names.head;
  return softcap(linear(weights, head, hidden), config_.logit_softcap);
}

}  // namespace assay
