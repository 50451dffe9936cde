/// A small convolutional classifier of 28x28 grey images: two 3x3 convolutions, each with ReLU and
/// 2x2 max pooling, then two linear layers. It has no normalisation layers, so that merged weights
/// need no re-estimated statistics.
#include <ATen/ATen.h>

#include "harness/model/architecture.h"
#include "harness/model/internal/layers.h"

namespace assay {
namespace {

struct SmallCnn {
  static constexpr std::string_view name = "small_cnn";
  static constexpr std::string_view summary =
      "conv 3x3, pool, conv 3x3, pool, linear, linear for inputs [n, 1, 28, 28]";
  static constexpr std::string_view paper = "LeCun et al., doi:10.1109/5.726791";

  int64_t classes = 10;
  int64_t channels = 16;
  int64_t hidden = 64;

  void parameters(auto&& p) {
    p(classes, {.name = "classes", .range = {1, 100000}, .help = "size of the label space"});
    p(channels, {.name = "channels",
                 .range = {1, 4096},
                 .help = "channels of the first convolution; the second has twice as many"});
    p(hidden, {.name = "hidden", .range = {1, 65536}, .help = "width of the hidden linear layer"});
  }

  std::vector<TensorInfo> tensors() const {
    const int64_t wide = 2 * channels;
    return {{"conv1.bias", at::kFloat, {channels}},
            {"conv1.weight", at::kFloat, {channels, 1, 3, 3}},
            {"conv2.bias", at::kFloat, {wide}},
            {"conv2.weight", at::kFloat, {wide, channels, 3, 3}},
            {"head.bias", at::kFloat, {classes}},
            {"head.weight", at::kFloat, {classes, hidden}},
            {"hidden.bias", at::kFloat, {hidden}},
            {"hidden.weight", at::kFloat, {hidden, wide * 7 * 7}}};
  }

  void set_widths(const std::map<std::string, std::vector<int64_t>>& shapes) {
    channels = shapes.at("conv1.bias").front();
    hidden = shapes.at("hidden.bias").front();
  }

  StateDict initial_weights(uint64_t seed) const { return kaiming_weights(tensors(), seed); }

  std::vector<int64_t> item_shape() const { return {1, 28, 28}; }

  at::Tensor logits(const StateDict& weights, const at::Tensor& inputs) const {
    check_inputs(name, inputs, item_shape());
    const at::Tensor x = block(weights, "conv2", block(weights, "conv1", inputs));
    return linear(weights, "head", at::relu(linear(weights, "hidden", x.flatten(1))));
  }

 private:
  static at::Tensor block(const StateDict& weights, const std::string& layer, const at::Tensor& x) {
    // Pooling precedes ReLU: the values are equal, as ReLU is monotone, at a quarter of the work.
    return at::relu(at::max_pool2d(conv2d(weights, layer, x, {.padding = {1, 1}}), 2));
  }
};

ASSAY_ARCHITECTURE(SmallCnn)

}  // namespace
}  // namespace assay
