/// A small convolutional classifier of 28x28 grey images: two 3x3 convolutions, each with ReLU and
/// 2x2 max pooling, then two linear layers. It has no normalisation layers, so that merged weights
/// need no re-estimated statistics.
#include <ATen/ATen.h>

#include "harness/model/architecture.h"

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

  StateDict initial_weights(uint64_t seed) const { return kaiming_weights(tensors(), seed); }

  at::Tensor logits(const StateDict& w, const at::Tensor& inputs) const {
    check_inputs(name, inputs, {1, 28, 28});
    at::Tensor x = block(inputs, w.at("conv1.weight"), w.at("conv1.bias"));
    x = block(x, w.at("conv2.weight"), w.at("conv2.bias"));
    x = at::relu(at::linear(x.flatten(1), w.at("hidden.weight"), w.at("hidden.bias")));
    return at::linear(x, w.at("head.weight"), w.at("head.bias"));
  }

 private:
  static at::Tensor block(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
    // Pooling precedes ReLU: the values are equal, as ReLU is monotone, at a quarter of the work.
    return at::relu(at::max_pool2d(at::conv2d(x, weight, bias, 1, 1), 2));
  }
};

ASSAY_ARCHITECTURE(SmallCnn)

}  // namespace
}  // namespace assay
