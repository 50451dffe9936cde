#include "harness/merge/expert_lists.h"

#include <fmt/format.h>

namespace assay {

std::optional<std::string> unfit_lists(const Json& parameters, size_t num_experts) {
  for (const auto& [name, value] : parameters.items()) {
    // Components and tables hold values of their own.
    if (value.is_object())
      if (const auto unfit = unfit_lists(value, num_experts))
        return fmt::format("parameter '{}': {}", name, *unfit);
    if (value.is_array() && !value.empty() && value.front().is_number() &&
        value.size() != num_experts)
      return fmt::format("parameter '{}' has {} entries for {} experts", name, value.size(),
                         num_experts);
  }
  return std::nullopt;
}

}  // namespace assay
