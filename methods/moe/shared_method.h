/// The method that merges what the experts of a mixture or a routed ensemble share.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "harness/core/error.h"
#include "harness/method/method.h"
#include "methods/inner_merge.h"

namespace assay {

inline std::string base_has_no_data(std::string_view parameter, std::string_view name) {
  return fmt::format(
      "parameter '{}' is {}, which looks at data of every expert, and with 'base_expert' the base "
      "is one that has none",
      parameter, name);
}

/// Why it cannot be the parameter 'shared'; `base_expert`: the base is one more expert.
inline std::optional<std::string> shared_conflict(const MethodComponent& shared, bool base_expert) {
  if (base_expert && (shared->needs().calibration_inputs || !shared->statistics().empty()))
    return base_has_no_data("shared", shared->info().name);
  return form_conflict("shared", *shared);
}

}  // namespace assay
