/// VGG-11 under torchvision's names, with or without BatchNorm; also in the form for images of
/// 32x32 that studies of permutations use, with one linear layer after the convolutions.
#include <ATen/ATen.h>

#include "harness/core/error.h"
#include "harness/model/architecture.h"
#include "harness/model/internal/layers.h"

namespace assay {
namespace {

struct Vgg11 {
  static constexpr std::string_view name = "vgg11";
  static constexpr std::string_view summary =
      "VGG-11: eight 3x3 convolutions with five poolings, then linear layers";
  static constexpr std::string_view paper = "Simonyan & Zisserman, arXiv:1409.1556";
  static constexpr std::string_view example =
      R"({"classes": 3, "width": 2, "hidden": 0, "image_size": 32})";

  int64_t classes = 1000;
  int64_t width = 64;
  int64_t hidden = 4096;
  int64_t image_size = 224;
  int64_t channels = 3;
  bool normalized = false;

  void parameters(auto&& p) {
    p(classes, {.name = "classes", .range = {1, 100000}, .help = "size of the label space"});
    p(width, {.name = "width",
              .range = {1, 4096},
              .help = "channels of the first convolution; the last ones have eight times as many"});
    p(hidden, {.name = "hidden",
               .range = {0, 65536},
               .help = "width of the two hidden linear layers; 0: the classes follow the "
                       "convolutions"});
    p(image_size, {.name = "image_size", .range = {32, 4096}, .help = "height and width"});
    p(channels, {.name = "channels", .range = {1, 1024}, .help = "of the images"});
    p(normalized, {.name = "batch_norm", .help = "BatchNorm after each convolution"});
  }

  std::vector<TensorInfo> tensors() const {
    std::vector<TensorInfo> all;
    int64_t in = channels;
    for (const Step& step : steps()) {
      if (step.out == 0) continue;
      add_conv2d(all, feature(step.index), in, step.out, 3, true);
      if (normalized) add_batch_norm(all, feature(step.index + 1), step.out);
      in = step.out;
    }
    if (hidden == 0) {
      add_linear(all, "classifier", in * last_side() * last_side(), classes, true);
    } else {
      add_linear(all, "classifier.0", in * kPooled * kPooled, hidden, true);
      add_linear(all, "classifier.3", hidden, hidden, true);
      add_linear(all, "classifier.6", hidden, classes, true);
    }
    sort_by_name(all);
    return all;
  }
  StateDict initial_weights(uint64_t seed) const { return kaiming_weights(tensors(), seed); }
  std::vector<int64_t> item_shape() const { return {channels, image_size, image_size}; }
  CheckpointNames checkpoint_names() const { return {.ignored = {".num_batches_tracked"}}; }

  at::Tensor logits(const StateDict& weights, const at::Tensor& images) const {
    check_inputs(name, images, item_shape());
    at::Tensor x = images;
    for (const Step& step : steps()) {
      if (step.out == 0) {
        x = at::max_pool2d(x, 2);
        continue;
      }
      x = conv2d(weights, feature(step.index), x, {.padding = {1, 1}});
      if (normalized) x = batch_norm(weights, feature(step.index + 1), x, 1e-5);
      x = at::relu(x);
    }
    if (hidden == 0) return linear(weights, "classifier", x.flatten(1));
    x = at::adaptive_avg_pool2d(x, {kPooled, kPooled}).flatten(1);
    x = at::relu(linear(weights, "classifier.0", x));
    return linear(weights, "classifier.6", at::relu(linear(weights, "classifier.3", x)));
  }

 private:
  static constexpr int64_t kPooled = 7;

  /// A convolution to `out` channels, or a pooling where that is 0.
  struct Step {
    int64_t index, out;
  };
  /// With the indices that torchvision's list of modules gives them.
  std::vector<Step> steps() const {
    std::vector<Step> all;
    int64_t index = 0;
    for (const int64_t factor : {1, 0, 2, 0, 4, 4, 0, 8, 8, 0, 8, 8, 0}) {
      all.push_back({index, factor * width});
      index += factor == 0 ? 1 : (normalized ? 3 : 2);
    }
    return all;
  }
  static std::string feature(int64_t index) { return fmt::format("features.{}", index); }
  int64_t last_side() const { return image_size / 32; }
};

ASSAY_ARCHITECTURE(Vgg11)

}  // namespace
}  // namespace assay
