#include "harness/model/internal/vision_transformer.h"

#include <ATen/ATen.h>

#include <cmath>

#include "harness/core/error.h"
#include "harness/model/internal/attention.h"

namespace assay {
namespace {

class VisionTransformer final : public Architecture {
 public:
  VisionTransformer(VisionTransformerConfig config, Json json)
      : config_(std::move(config)), json_(std::move(json)) {
    for (int64_t i = 0; i < config_.layers; ++i) {
      const std::string name = fmt::format("{}{}.", config_.block, i);
      blocks_.push_back(
          {name, plain_feed_forward(config_.feed_forward, name + config_.up, name + config_.down)});
    }
  }

  Json config() const override { return json_; }
  CheckpointNames checkpoint_names() const override { return config_.names; }
  std::vector<int64_t> item_shape() const override {
    return {config_.channels, config_.image_size, config_.image_size};
  }
  StateDict initial_weights(uint64_t seed) const override {
    StateDict weights = normal_weights(tensors(), config_.initializer_range, 1.0, seed);
    weights.at(config_.class_token).zero_();
    return weights;
  }

  std::vector<TensorInfo> tensors() const override {
    std::vector<TensorInfo> all;
    const int64_t width = config_.width, tokens = patches() * patches() + 1;
    const bool ones = config_.leading_ones;
    all.push_back({config_.class_token, at::kFloat,
                   ones ? std::vector<int64_t>{1, 1, width} : std::vector<int64_t>{width}});
    all.push_back(
        {config_.positions, at::kFloat,
         ones ? std::vector<int64_t>{1, tokens, width} : std::vector<int64_t>{tokens, width}});
    add_conv2d(all, config_.patches, config_.channels, width, config_.patch_size,
               config_.patch_bias);
    if (!config_.first_norm.empty()) add_norm(all, config_.first_norm, width, NormKind::kLayer);
    for (const Block& block : blocks_)
      for (TensorInfo& info : block_tensors(block)) all.push_back(std::move(info));
    add_norm(all, config_.last_norm, width, NormKind::kLayer);
    if (config_.outputs > 0)
      add_linear(all, config_.head, width, config_.outputs, config_.head_bias);
    sort_by_name(all);
    return all;
  }

  std::vector<std::vector<std::string>> blocks() const override {
    std::vector<std::vector<std::string>> names;
    for (const Block& block : blocks_) names.push_back(tensor_names(block_tensors(block)));
    return names;
  }

  at::Tensor logits(const StateDict& weights, const at::Tensor& images) const override {
    check_inputs(config_.model, images, item_shape());
    const int64_t side = config_.patch_size, width = config_.width;
    const at::Tensor patches = conv2d(weights, config_.patches, images, {.stride = {side, side}})
                                   .flatten(2)
                                   .transpose(1, 2);
    const at::Tensor whole =
        weights.at(config_.class_token).view({1, 1, width}).expand({images.size(0), 1, width});
    at::Tensor x = at::cat({whole, patches}, 1) + weights.at(config_.positions);
    if (!config_.first_norm.empty()) x = norm(weights, config_.first_norm, x);
    for (const Block& block : blocks_) {
      x = x + attention(weights, block.name, norm(weights, block.name + config_.attention_norm, x));
      x = x + block.feed_forward->forward(weights,
                                          norm(weights, block.name + config_.feed_forward_norm, x));
    }
    const at::Tensor features = norm(weights, config_.last_norm, x.select(1, 0));
    return config_.outputs > 0 ? linear(weights, config_.head, features) : features;
  }

 private:
  struct Block {
    std::string name;
    std::unique_ptr<FeedForward> feed_forward;
  };

  int64_t patches() const { return config_.image_size / config_.patch_size; }
  at::Tensor norm(const StateDict& weights, const std::string& name, const at::Tensor& x) const {
    return normalize(weights, name, x, NormKind::kLayer, config_.norm_epsilon);
  }
  std::vector<TensorInfo> block_tensors(const Block& block) const {
    std::vector<TensorInfo> all = block.feed_forward->tensors();
    for (const std::string* part : {&config_.query, &config_.key, &config_.value})
      add_linear(all, block.name + *part, config_.width, config_.width, config_.query_bias);
    add_linear(all, block.name + config_.attention_output, config_.width, config_.width, true);
    add_norm(all, block.name + config_.attention_norm, config_.width, NormKind::kLayer);
    add_norm(all, block.name + config_.feed_forward_norm, config_.width, NormKind::kLayer);
    return all;
  }
  at::Tensor attention(const StateDict& weights, const std::string& block,
                       const at::Tensor& x) const {
    const int64_t size = config_.width / config_.heads;
    const auto heads = [&](const std::string& part) {
      return linear(weights, block + part, x)
          .view({x.size(0), x.size(1), config_.heads, size})
          .transpose(1, 2);
    };
    const at::Tensor out = attend(heads(config_.query), heads(config_.key), heads(config_.value),
                                  {}, {1 / std::sqrt(static_cast<double>(size)), 0});
    return linear(weights, block + config_.attention_output, out);
  }

  VisionTransformerConfig config_;
  Json json_;
  std::vector<Block> blocks_;
};

}  // namespace

std::unique_ptr<Architecture> make_vision_transformer(VisionTransformerConfig config, Json json,
                                                      const std::string& where) {
  if (config.patch_size > config.image_size || config.image_size % config.patch_size != 0)
    user_error("{}: image_size {} is no multiple of patch_size {}", where, config.image_size,
               config.patch_size);
  return std::make_unique<VisionTransformer>(std::move(config), std::move(json));
}

}  // namespace assay
