/// JSON as Python's json module writes it, with the literals NaN, Infinity and -Infinity, which
/// model configurations contain. parse_json() reads them as numbers; JsonReader rejects them where
/// it expects a number.
#pragma once

#include <string>

#include "harness/core/json.h"

namespace assay {

/// Serializes the value as Json::dump() does, which would write null for numbers that are not
/// finite. No white space when `indent` is negative.
std::string json_text(const Json& value, int indent = -1);

}  // namespace assay
