/// Values of YAML as PyYAML reads them.
#pragma once

#include <optional>

#include "harness/core/json.h"
#include "harness/core/yaml.h"

namespace assay {

/// Absent unless the scalar is a decimal integer of 64 bits.
std::optional<int64_t> yaml_integer(const YamlNode& node);
bool yaml_is_true(const YamlNode& node);
/// Numbers, true, false and null of unquoted scalars, lists and maps; any other scalar as text.
Json yaml_json(const YamlNode& node);

}  // namespace assay
