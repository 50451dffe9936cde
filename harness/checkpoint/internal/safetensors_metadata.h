/// Texts in the header of a safetensors file, next to its tensors.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "harness/checkpoint/tensors.h"

namespace assay {

/// "__metadata__" of the header. DataError naming `file` as parse_safetensors_header(), and when
/// its values are no texts.
std::map<std::string, std::string> parse_safetensors_metadata(std::string_view bytes,
                                                              const std::string& file);

/// As safetensors_header(tensors), with these texts.
std::string safetensors_header(const std::vector<TensorInfo>& tensors,
                               const std::map<std::string, std::string>& metadata);

}  // namespace assay
