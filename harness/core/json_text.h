/// JSON as Python's json module writes it, with the words NaN, Infinity and -Infinity, which
/// configurations of models hold. parse_json() reads them as numbers; JsonReader refuses them
/// where it is asked for one.
#pragma once

#include <string>

#include "harness/core/json.h"

namespace assay {

/// The value's text: as Json::dump(), whose numbers that are not finite would be null. No white
/// space when `indent` is negative.
std::string json_text(const Json& value, int indent = -1);

}  // namespace assay
