/// Residual networks (He et al., arXiv:1512.03385) under torchvision's names of tensors.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "harness/model/architecture.h"

namespace assay {

/// A network in stages of blocks, each block relu(f(x) + shortcut(x)). The first block of a stage
/// projects its shortcut ("downsample") when it strides or widens; all else is a sum, so a stage's
/// blocks share one stream of channels.
struct ResNetShape {
  struct Block {
    std::string name;            ///< "layer1.0."
    int64_t in = 0, out = 0;     ///< channels of the streams that it reads and writes
    std::vector<int64_t> inner;  ///< channels between its convolutions: one, or two of a bottleneck
    int64_t stride = 1;
    bool downsample = false;
  };
  std::string_view model;     ///< for messages
  std::vector<int64_t> item;  ///< [channels, height, width] of an input
  bool large_stem = false;    ///< 7x7 with stride 2 and a 3x3 pool; else 3x3
  int64_t stem = 0;           ///< channels
  std::vector<Block> blocks;
  int64_t classes = 0;
};

struct ResNetWidths {
  bool bottleneck = false;
  std::vector<int64_t> blocks;  ///< of each stage
  int64_t width = 0;            ///< of the first stage's inner convolutions; each stage doubles it
  /// Where widths are others: of the streams in their order (a stem of its own first, which only
  /// bottleneck networks have, then one per stage), and of all inner convolutions in their order.
  /// Empty: the usual ones.
  std::vector<double> streams, inner;
};

/// The stem, the item and the classes are left to the caller. UserError, naming `where`, when
/// there are not as many widths as convolutions, or one is no integer of at least 1.
ResNetShape resnet_shape(const ResNetWidths& widths, std::string_view where);

/// Sets `streams` and `inner` of a network to the widths that its tensors have, by name.
void read_resnet_widths(const ResNetShape& shape,
                        const std::map<std::string, std::vector<int64_t>>& shapes,
                        std::vector<double>& streams, std::vector<double>& inner);

std::vector<TensorInfo> resnet_tensors(const ResNetShape& shape);
at::Tensor resnet_logits(const ResNetShape& shape, const StateDict& weights, const at::Tensor& x);

}  // namespace assay
