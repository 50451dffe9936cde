#include "harness/model/internal/resnet.h"

#include <ATen/ATen.h>

#include <cmath>

#include "harness/core/error.h"
#include "harness/model/internal/layers.h"

namespace assay {
namespace {

constexpr double kEpsilon = 1e-5;
constexpr int64_t kExpansion = 4;  // of a bottleneck's last convolution

/// A convolution of a block.
struct Step {
  std::string number;  ///< "1" of conv1 and bn1
  int64_t in, out, kernel, stride;
};

/// As in torchvision, the 3x3 convolution of a bottleneck strides ("ResNet v1.5").
std::vector<Step> steps_of(const ResNetShape::Block& block) {
  const auto& inner = block.inner;
  if (inner.size() == 1)
    return {{"1", block.in, inner[0], 3, block.stride}, {"2", inner[0], block.out, 3, 1}};
  return {{"1", block.in, inner[0], 1, 1},
          {"2", inner[0], inner[1], 3, block.stride},
          {"3", inner[1], block.out, 1, 1}};
}

at::Tensor convolve(const StateDict& weights, const std::string& conv, const std::string& norm,
                    const at::Tensor& x, int64_t kernel, int64_t stride) {
  const int64_t padding = kernel / 2;
  return batch_norm(
      weights, norm,
      conv2d(weights, conv, x, {.stride = {stride, stride}, .padding = {padding, padding}}),
      kEpsilon);
}

at::Tensor block_output(const ResNetShape::Block& block, const StateDict& weights,
                        const at::Tensor& x) {
  const std::vector<Step> steps = steps_of(block);
  at::Tensor y = x;
  for (const Step& step : steps) {
    if (&step != &steps.front()) y = at::relu(y);
    y = convolve(weights, block.name + "conv" + step.number, block.name + "bn" + step.number, y,
                 step.kernel, step.stride);
  }
  const at::Tensor shortcut = block.downsample
                                  ? convolve(weights, block.name + "downsample.0",
                                             block.name + "downsample.1", x, 1, block.stride)
                                  : x;
  return at::relu(y + shortcut);
}

/// The widths that are given, or the usual ones.
std::vector<int64_t> checked_widths(const std::vector<double>& given,
                                    const std::vector<int64_t>& usual, std::string_view name,
                                    std::string_view where) {
  if (given.empty()) return usual;
  if (given.size() != usual.size())
    user_error("{}: '{}' has {} numbers, expected {}, or none for the usual widths", where, name,
               given.size(), usual.size());
  std::vector<int64_t> widths;
  for (const double width : given) {
    if (!(width >= 1) || width != std::floor(width))
      user_error("{}: '{}' has the width {}, expected an integer of at least 1", where, name,
                 width);
    widths.push_back(static_cast<int64_t>(width));
  }
  return widths;
}

}  // namespace

ResNetShape resnet_shape(const ResNetWidths& widths, std::string_view where) {
  const int64_t expansion = widths.bottleneck ? kExpansion : 1;
  const size_t inner_per_block = widths.bottleneck ? 2 : 1;
  std::vector<int64_t> streams, inner;
  if (widths.bottleneck) streams.push_back(widths.width);
  for (size_t stage = 0; stage < widths.blocks.size(); ++stage) {
    const int64_t width = widths.width << stage;
    streams.push_back(width * expansion);
    inner.insert(inner.end(), static_cast<size_t>(widths.blocks[stage]) * inner_per_block, width);
  }
  streams = checked_widths(widths.streams, streams, "stream_widths", where);
  inner = checked_widths(widths.inner, inner, "inner_widths", where);

  ResNetShape shape;
  shape.model = where;
  shape.stem = streams.front();
  int64_t in = shape.stem;
  auto next_inner = inner.begin();
  for (size_t stage = 0; stage < widths.blocks.size(); ++stage)
    for (int64_t i = 0; i < widths.blocks[stage]; ++i) {
      const auto first = next_inner;
      next_inner += static_cast<std::ptrdiff_t>(inner_per_block);
      shape.blocks.push_back({.name = fmt::format("layer{}.{}.", stage + 1, i),
                              .in = in,
                              .out = streams[stage + (widths.bottleneck ? 1 : 0)],
                              .inner = {first, next_inner},
                              .stride = i == 0 && stage > 0 ? 2 : 1,
                              .downsample = i == 0 && (stage > 0 || widths.bottleneck)});
      in = shape.blocks.back().out;
    }
  return shape;
}

void read_resnet_widths(const ResNetShape& shape,
                        const std::map<std::string, std::vector<int64_t>>& shapes,
                        std::vector<double>& streams, std::vector<double>& inner) {
  const auto outputs = [&](const std::string& conv) {
    return static_cast<double>(shapes.at(conv + ".weight").front());
  };
  streams.clear();
  inner.clear();
  const bool own_stem = shape.blocks.front().downsample;
  if (own_stem) streams.push_back(outputs("conv1"));
  for (size_t i = 0; i < shape.blocks.size(); ++i) {
    const ResNetShape::Block& block = shape.blocks[i];
    const std::vector<Step> steps = steps_of(block);
    for (const Step& step : steps)
      if (&step != &steps.back()) inner.push_back(outputs(block.name + "conv" + step.number));
    if (i == 0 || block.downsample)
      streams.push_back(outputs(block.name + "conv" + steps.back().number));
  }
}

std::vector<TensorInfo> resnet_tensors(const ResNetShape& shape) {
  std::vector<TensorInfo> all;
  add_conv2d(all, "conv1", shape.item.front(), shape.stem, shape.large_stem ? 7 : 3, false);
  add_batch_norm(all, "bn1", shape.stem);
  for (const ResNetShape::Block& block : shape.blocks) {
    for (const Step& step : steps_of(block)) {
      add_conv2d(all, block.name + "conv" + step.number, step.in, step.out, step.kernel, false);
      add_batch_norm(all, block.name + "bn" + step.number, step.out);
    }
    if (!block.downsample) continue;
    add_conv2d(all, block.name + "downsample.0", block.in, block.out, 1, false);
    add_batch_norm(all, block.name + "downsample.1", block.out);
  }
  add_linear(all, "fc", shape.blocks.back().out, shape.classes, true);
  sort_by_name(all);
  return all;
}

at::Tensor resnet_logits(const ResNetShape& shape, const StateDict& weights, const at::Tensor& x) {
  check_inputs(shape.model, x, shape.item);
  at::Tensor y = at::relu(
      convolve(weights, "conv1", "bn1", x, shape.large_stem ? 7 : 3, shape.large_stem ? 2 : 1));
  if (shape.large_stem) y = at::max_pool2d(y, 3, 2, 1);
  for (const ResNetShape::Block& block : shape.blocks) y = block_output(block, weights, y);
  return linear(weights, "fc", y.mean(at::IntArrayRef{2, 3}));
}

}  // namespace assay
