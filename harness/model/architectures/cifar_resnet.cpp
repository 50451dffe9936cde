/// The residual networks of He et al. for images of 32x32: depth 6n + 2, in three stages of n basic
/// blocks. Shortcuts that change the width are projections (their option B), and the names of the
/// tensors torchvision's, as in the models that people publish. BatchNorm's running moments are
/// tensors that merges average like weights; what a merged network's own would be has to be
/// estimated again.
#include <ATen/ATen.h>

#include "harness/core/error.h"
#include "harness/model/architecture.h"
#include "harness/model/internal/resnet.h"

namespace assay {
namespace {

struct CifarResNet {
  static constexpr std::string_view name = "cifar_resnet";
  static constexpr std::string_view summary =
      "ResNet-20/32/44/56 for small images: three stages of basic blocks with BatchNorm";
  static constexpr std::string_view paper = "He et al., arXiv:1512.03385 §4.2";
  static constexpr std::string_view example =
      R"({"depth": 8, "classes": 3, "width": 2, "image_size": 8})";

  int64_t depth = 20;
  int64_t classes = 10;
  int64_t width = 16;
  int64_t channels = 3;
  int64_t image_size = 32;
  std::vector<double> stream_widths, inner_widths;

  void parameters(auto&& p) {
    p(depth, {.name = "depth", .range = {8, 1202}, .help = "layers with weights: 6n + 2"});
    p(classes, {.name = "classes", .range = {1, 100000}, .help = "size of the label space"});
    p(width, {.name = "width",
              .range = {1, 4096},
              .help = "channels of the first stage; each later one has twice as many"});
    p(channels, {.name = "channels", .range = {1, 1024}, .help = "of the images"});
    p(image_size, {.name = "image_size", .range = {4, 4096}, .help = "height and width"});
    p(stream_widths, {.name = "stream_widths",
                      .range = {1, 65536},
                      .help = "channels between the blocks of each stage, where not the usual"});
    p(inner_widths, {.name = "inner_widths",
                     .range = {1, 65536},
                     .help = "channels within each block, where not the usual"});
  }

  ResNetShape shape() const {
    if (depth % 6 != 2) user_error("{}: 'depth' is {}, expected 6n + 2, as 20 or 56", name, depth);
    ResNetShape shape = resnet_shape({.blocks = std::vector<int64_t>(3, depth / 6),
                                      .width = width,
                                      .streams = stream_widths,
                                      .inner = inner_widths},
                                     name);
    shape.item = item_shape();
    shape.classes = classes;
    return shape;
  }
  std::vector<TensorInfo> tensors() const { return resnet_tensors(shape()); }
  StateDict initial_weights(uint64_t seed) const { return kaiming_weights(tensors(), seed); }
  std::vector<int64_t> item_shape() const { return {channels, image_size, image_size}; }
  CheckpointNames checkpoint_names() const { return {.ignored = {".num_batches_tracked"}}; }
  void set_widths(const std::map<std::string, std::vector<int64_t>>& shapes) {
    read_resnet_widths(shape(), shapes, stream_widths, inner_widths);
  }
  at::Tensor logits(const StateDict& weights, const at::Tensor& x) const {
    return resnet_logits(shape(), weights, x);
  }
};

ASSAY_ARCHITECTURE(CifarResNet)

}  // namespace
}  // namespace assay
