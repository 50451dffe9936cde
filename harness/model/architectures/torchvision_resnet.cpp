/// torchvision's resnet18 to resnet152, whose names of tensors timm shares. BatchNorm as in
/// cifar_resnet.
#include <ATen/ATen.h>

#include "harness/core/error.h"
#include "harness/model/architecture.h"
#include "harness/model/internal/resnet.h"

namespace assay {
namespace {

struct TorchvisionResNet {
  static constexpr std::string_view name = "torchvision_resnet";
  static constexpr std::string_view summary =
      "torchvision's ResNet-18/34/50/101/152 with BatchNorm";
  static constexpr std::string_view paper = "He et al., arXiv:1512.03385";
  static constexpr std::string_view example =
      R"({"depth": 50, "classes": 3, "width": 2, "image_size": 32})";

  int64_t depth = 50;
  int64_t classes = 1000;
  int64_t width = 64;
  int64_t image_size = 224;
  std::vector<double> stream_widths, inner_widths;

  void parameters(auto&& p) {
    p(depth, {.name = "depth",
              .range = {18, 152},
              .help = "layers with weights: 18, 34, 50, 101 or 152; from 50 on blocks are "
                      "bottlenecks"});
    p(classes, {.name = "classes", .range = {1, 100000}, .help = "size of the label space"});
    p(width, {.name = "width",
              .range = {1, 4096},
              .help = "channels of the first stage's 3x3 convolutions; each later stage has twice "
                      "as many"});
    p(image_size, {.name = "image_size", .range = {32, 4096}, .help = "height and width"});
    p(stream_widths, {.name = "stream_widths",
                      .range = {1, 65536},
                      .help = "channels between the blocks of each stage, where not the usual; "
                              "from depth 50 on the stem's before them"});
    p(inner_widths, {.name = "inner_widths",
                     .range = {1, 65536},
                     .help = "channels within each block, where not the usual"});
  }

  std::vector<int64_t> blocks_of_stages() const {
    if (depth == 18) return {2, 2, 2, 2};
    if (depth == 34 || depth == 50) return {3, 4, 6, 3};
    if (depth == 101) return {3, 4, 23, 3};
    if (depth == 152) return {3, 8, 36, 3};
    user_error("{}: 'depth' is {}, expected 18, 34, 50, 101 or 152", name, depth);
  }
  ResNetShape shape() const {
    ResNetShape shape = resnet_shape({.bottleneck = depth >= 50,
                                      .blocks = blocks_of_stages(),
                                      .width = width,
                                      .streams = stream_widths,
                                      .inner = inner_widths},
                                     name);
    shape.large_stem = true;
    shape.item = item_shape();
    shape.classes = classes;
    return shape;
  }
  std::vector<TensorInfo> tensors() const { return resnet_tensors(shape()); }
  StateDict initial_weights(uint64_t seed) const { return kaiming_weights(tensors(), seed); }
  std::vector<int64_t> item_shape() const { return {3, image_size, image_size}; }
  CheckpointNames checkpoint_names() const { return {.ignored = {".num_batches_tracked"}}; }
  void set_widths(const std::map<std::string, std::vector<int64_t>>& shapes) {
    read_resnet_widths(shape(), shapes, stream_widths, inner_widths);
  }
  at::Tensor logits(const StateDict& weights, const at::Tensor& x) const {
    return resnet_logits(shape(), weights, x);
  }
};

ASSAY_ARCHITECTURE(TorchvisionResNet)

}  // namespace
}  // namespace assay
