/// Parsing of the options for token ids and padding.
#pragma once

#include <string>
#include <vector>

#include "harness/model/generate.h"

namespace assay::cli {

/// "1,15,7" as numbers. UserError naming the option.
TokenIds parse_ids(const std::string& option, const std::string& text);

/// "left" or "right". UserError for anything else.
Padding parse_padding(const std::string& text);

}  // namespace assay::cli
