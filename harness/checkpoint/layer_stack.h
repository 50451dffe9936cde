/// The layers of a model, by the numbers in its tensors' names: "model.layers.7.mlp.weight" is of
/// layer 7 of the stack "model.layers.". Checked against the number that config.json gives.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/checkpoint/tensors.h"
#include "harness/core/json.h"

namespace assay {

struct LayerName {
  std::string stack;  ///< what stands before the number
  int64_t index;
};

/// By the first number that is a whole part of the name; absent without one.
std::optional<LayerName> layer_name(const std::string& tensor);

/// The one stack of layers of a model.
class LayerStack {
 public:
  /// DataError when the config gives no number of layers, or when there is not just one stack with
  /// so many. Must not outlive the model.
  LayerStack(const TensorSource& model, const Json& config);

  int64_t size() const { return static_cast<int64_t>(layers_.size()); }
  /// The tensors of a layer, in name order.
  const std::vector<const TensorInfo*>& layer(int64_t index) const {
    return layers_.at(static_cast<size_t>(index));
  }
  /// All others: embeddings, final norm, head.
  const std::vector<const TensorInfo*>& outside() const { return outside_; }
  /// The name that a tensor of a layer has in another.
  std::string renumbered(const std::string& tensor, int64_t layer) const;

 private:
  std::string stack_;
  std::vector<std::vector<const TensorInfo*>> layers_;
  std::vector<const TensorInfo*> outside_;
};

}  // namespace assay
