/// What of a run came from plugins: entries of its diagnostics.
#pragma once

#include <string>
#include <vector>

#include "harness/core/json.h"
#include "harness/core/registry.h"
#include "results/records.h"

namespace assay {

/// An entry of a registry that a run used.
struct PluginUse {
  std::string kind, name;    ///< "method", "median"
  std::string plugin, hash;  ///< of its library
  auto operator<=>(const PluginUse&) const = default;
};

/// Adds the use to the run, once; nothing for null, which stands for what is built in.
void add_plugin_use(RunRecord& run, const std::string& kind, const std::string& name,
                    const Plugin* plugin);
/// In the order of adding.
std::vector<PluginUse> plugin_uses(const RunRecord& run);

}  // namespace assay
