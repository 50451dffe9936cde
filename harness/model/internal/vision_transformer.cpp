#include "harness/model/internal/vision_transformer.h"

#include <ATen/ATen.h>

#include "harness/core/error.h"

namespace assay {
namespace {

class VisionTransformer final : public ImageEncoder {
 public:
  VisionTransformer(VisionTransformerConfig config, Json json)
      : config_(std::move(config)), blocks_(config_), json_(std::move(json)) {}

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
    blocks_.add_tensors(all);
    add_norm(all, config_.last_norm, width, NormKind::kLayer);
    if (config_.outputs > 0)
      add_linear(all, config_.head, width, config_.outputs, config_.head_bias);
    sort_by_name(all);
    return all;
  }

  std::vector<std::vector<std::string>> blocks() const override { return blocks_.names(); }
  bool has_classes() const override { return config_.outputs > 0 && config_.head_of_classes; }

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
    x = blocks_.forward(weights, x, {});
    const at::Tensor features = norm(weights, config_.last_norm, x.select(1, 0));
    return config_.outputs > 0 ? linear(weights, config_.head, features) : features;
  }

 private:
  int64_t patches() const { return config_.image_size / config_.patch_size; }
  at::Tensor norm(const StateDict& weights, const std::string& name, const at::Tensor& x) const {
    return normalize(weights, name, x, NormKind::kLayer, config_.norm_epsilon);
  }

  VisionTransformerConfig config_;
  PreNormBlocks blocks_;
  Json json_;
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
