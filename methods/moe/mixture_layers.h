/// The layers of a mixture of experts, found by the names of a model's tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/checkpoint/tensors.h"

namespace assay {

/// A matrix of an expert.
struct ExpertPart {
  std::string name;   ///< "w1", "down_proj"
  bool reads_units;   ///< [width, units]: its columns are the hidden units; else its rows are
  bool is_activated;  ///< of the two that make a gated expert's units, the activated one
};

/// A router and its experts.
struct MixtureLayer {
  std::string router;                             ///< the router's weight [experts, width]
  std::vector<ExpertPart> parts;                  ///< in the order of their names
  std::vector<std::vector<std::string>> tensors;  ///< of each expert, a tensor for each part
  std::string prefix;                             ///< of these names, up to an expert's number
  /// The name of a part's tensor of any expert.
  std::string tensor(int64_t expert, size_t part) const;
  int64_t experts() const { return static_cast<int64_t>(tensors.size()); }
};

/// Those of a model with these tensors, in the order of their blocks. SkipCell, which names the
/// method, when experts have anything but the matrices of a feed-forward.
std::vector<MixtureLayer> mixture_layers(const std::vector<std::string>& names,
                                         std::string_view method);

/// SkipCell when there are none: `method` works on mixtures.
void need_layers(const std::vector<MixtureLayer>& layers, std::string_view method);

/// How many experts of each layer a method leaves: as many as it is asked for, with 0 half of them,
/// rounded up. SkipCell when there are no layers, or layers with fewer or with different numbers.
int64_t experts_left(const std::vector<MixtureLayer>& layers, int64_t asked,
                     std::string_view method);

/// The matrices of every expert of a layer, float64: [expert][part].
using ExpertMatrices = std::vector<std::vector<at::Tensor>>;
ExpertMatrices expert_matrices(const MixtureLayer& layer,
                               const std::function<at::Tensor(const std::string& tensor)>& read);

}  // namespace assay
