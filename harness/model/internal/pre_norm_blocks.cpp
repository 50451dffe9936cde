#include "harness/model/internal/pre_norm_blocks.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

namespace assay {

PreNormBlocks::PreNormBlocks(PreNormConfig config) : config_(std::move(config)) {
  for (int64_t i = 0; i < config_.layers; ++i) {
    const std::string name = fmt::format("{}{}.", config_.block, i);
    blocks_.push_back(
        {name, plain_feed_forward(config_.feed_forward, name + config_.up, name + config_.down)});
  }
}

at::Tensor PreNormBlocks::forward(const StateDict& weights, at::Tensor x,
                                  const AttentionMask& mask) const {
  for (const Block& block : blocks_) {
    x = x +
        attention(weights, block.name, norm(weights, block.name + config_.attention_norm, x), mask);
    x = x + block.feed_forward->forward(weights,
                                        norm(weights, block.name + config_.feed_forward_norm, x));
  }
  return x;
}

void PreNormBlocks::add_tensors(std::vector<TensorInfo>& tensors) const {
  for (const Block& block : blocks_)
    for (TensorInfo& info : tensors_of(block)) tensors.push_back(std::move(info));
}

std::vector<std::vector<std::string>> PreNormBlocks::names() const {
  std::vector<std::vector<std::string>> names;
  for (const Block& block : blocks_) names.push_back(tensor_names(tensors_of(block)));
  return names;
}

std::vector<TensorInfo> PreNormBlocks::tensors_of(const Block& block) const {
  std::vector<TensorInfo> all = block.feed_forward->tensors();
  for (const std::string* part : {&config_.query, &config_.key, &config_.value})
    add_linear(all, block.name + *part, config_.width, config_.width, config_.query_bias);
  add_linear(all, block.name + config_.attention_output, config_.width, config_.width, true);
  add_norm(all, block.name + config_.attention_norm, config_.width, NormKind::kLayer);
  add_norm(all, block.name + config_.feed_forward_norm, config_.width, NormKind::kLayer);
  return all;
}

at::Tensor PreNormBlocks::norm(const StateDict& weights, const std::string& name,
                               const at::Tensor& x) const {
  return normalize(weights, name, x, NormKind::kLayer, config_.norm_epsilon);
}

at::Tensor PreNormBlocks::attention(const StateDict& weights, const std::string& block,
                                    const at::Tensor& x, const AttentionMask& mask) const {
  const int64_t size = config_.width / config_.heads;
  const auto heads = [&](const std::string& part) {
    return linear(weights, block + part, x)
        .view({x.size(0), x.size(1), config_.heads, size})
        .transpose(1, 2);
  };
  const at::Tensor out = attend(heads(config_.query), heads(config_.key), heads(config_.value),
                                mask, {1 / std::sqrt(static_cast<double>(size)), 0});
  return linear(weights, block + config_.attention_output, out);
}

}  // namespace assay
