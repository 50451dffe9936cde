/// What of a task's data comes from plugins.
#pragma once

#include <optional>
#include <string>

#include "harness/core/json.h"
#include "harness/core/registry.h"

namespace assay {

/// A text reader or a dataset loader that a plugin registered.
struct DataPlugin {
  std::string kind, name;  ///< "text reader" or "dataset loader", and its registered name
  const Plugin* plugin;
};

/// What reads the data of this definition; absent where that is built in. UserError when it names a
/// dataset that there is not; `where` names the task.
std::optional<DataPlugin> data_plugin(const Json& definition, const std::string& where);

}  // namespace assay
