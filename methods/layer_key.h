/// The layers of methods that treat the tensors of a layer alike.
#pragma once

#include <fmt/format.h>

#include <string>

#include "harness/method/evidence.h"

namespace assay {

/// Names the layer that a tensor belongs to: its transformer block, or else its module.
inline std::string layer_key(const Evidence& evidence, const std::string& tensor) {
  if (const auto block = evidence.block(tensor)) return fmt::format("block {}", *block);
  return tensor.substr(0, tensor.rfind('.'));
}

}  // namespace assay
