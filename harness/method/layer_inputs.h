/// What the layers of a network read and give: for methods that change a network layer by layer and
/// look at what later layers then get, or that compare networks unit by unit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "harness/checkpoint/tensors.h"
#include "harness/method/evidence.h"

namespace assay {

/// What there is to see of a layer in a forward pass, a row per vector, on the network's device.
enum class LayerValue {
  kChannels,  ///< what it read: [rows, channels], of a convolution at every position of its input
  kInputs,    ///< what its weight multiplied: [rows, LayerInfo::inputs], patches of a convolution
  kOutputs    ///< what it gave, with its bias: [rows, outputs]
};
/// Gets a layer's weight, by its name in the merge, and its values, which are made when asked for.
using SeeLayer = std::function<void(const std::string& weight,
                                    const std::function<at::Tensor(LayerValue)>& values)>;

/// A Network (Evidence::network()) may also be this. Weights that are missing are the reference's.
class LayerInputs {
 public:
  virtual ~LayerInputs() = default;
  /// The Gram matrices of what these layers read, by LayerInfo::input: the statistic 'input_gram'
  /// of the network with these weights on an expert's examples. The layers are of that network;
  /// those that share an input share a matrix.
  virtual StateDict input_grams(const StateDict& weights, size_t expert,
                                const std::vector<LayerInfo>& layers) const = 0;
  /// One forward pass over an expert's examples [first, first + count), whose layers are shown as
  /// they run. Tokens that do not count are left out.
  virtual void observe(const StateDict& weights, size_t expert, int64_t first, int64_t count,
                       const SeeLayer& see) const = 0;
  /// The running means and variances of BatchNorm layers, by tensor, that the network has with
  /// these weights: means over batches of `batch` examples of each of these experts, each
  /// normalised by its own moments. Empty without such layers.
  virtual StateDict running_moments(const StateDict& weights, const std::vector<size_t>& experts,
                                    int64_t batch) const = 0;
};

/// Those of a network. UserError when it has none.
const LayerInputs& layer_inputs(const Network& network);

}  // namespace assay
