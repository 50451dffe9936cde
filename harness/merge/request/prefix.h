/// Models whose tensors have the same names but for a prefix ("transformer.", "model.").
#pragma once

#include <map>
#include <string>

#include "harness/checkpoint/tensors.h"

namespace assay {

struct PrefixMap {
  std::string prefix;                        ///< empty: there is nothing to map
  bool added = false;                        ///< to the model's names; else taken from them
  std::map<std::string, std::string> names;  ///< the model's, by those in the reference
};

/// How the names of `model` become those of `reference`: where one prefix starts at least half
/// of the names in one model and none in the other, and these names are equal without it.
PrefixMap map_prefix(const TensorSource& reference, const TensorSource& model);

}  // namespace assay
