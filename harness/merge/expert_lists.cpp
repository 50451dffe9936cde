#include "harness/merge/expert_lists.h"

#include <fmt/format.h>

namespace assay {

std::optional<std::string> unfit_lists(const Json& parameters, size_t num_experts) {
  for (const auto& [name, value] : parameters.items())
    if (value.is_array() && !value.empty() && value.size() != num_experts)
      return fmt::format("parameter '{}' has {} entries for {} experts", name, value.size(),
                         num_experts);
  return std::nullopt;
}

}  // namespace assay
