/// Lists of numbers among a method's parameters: a value per expert, or empty.
#pragma once

#include <optional>
#include <string>

#include "harness/core/json.h"

namespace assay {

/// Which list has not a value for each of so many experts, in words.
std::optional<std::string> unfit_lists(const Json& parameters, size_t num_experts);

}  // namespace assay
