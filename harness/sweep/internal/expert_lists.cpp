#include "harness/sweep/internal/expert_lists.h"

#include <algorithm>

#include "harness/core/error.h"
#include "harness/merge/expert_lists.h"

namespace assay {

std::optional<std::string> unfit_lists(const MethodSpec& method, size_t num_experts) {
  if (auto unfit = unfit_lists(method.parameters, num_experts)) return unfit;
  for (const auto& [name, values] : method.grid)
    for (const Json& value : values)
      if (auto unfit = unfit_lists(Json{{name, value}}, num_experts)) return unfit;
  return std::nullopt;
}

void check_lists(const SweepFile& file) {
  for (const MethodSpec& method : file.methods) {
    const bool fits =
        file.sets.empty() || std::any_of(file.sets.begin(), file.sets.end(), [&](const auto& set) {
          return !unfit_lists(method, set.experts.size());
        });
    if (!fits)
      user_error("{}: {} in the set '{}', and fits no other set", method.where,
                 *unfit_lists(method, file.sets.front().experts.size()), file.sets.front().name);
  }
}

}  // namespace assay
