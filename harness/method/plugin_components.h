/// Which plugins a configured method comes from.
#pragma once

#include <string>
#include <vector>

#include "harness/core/json.h"
#include "harness/core/registry.h"

namespace assay {

/// A method or a component of one that a plugin registered.
struct PluginComponent {
  std::string kind, name;  ///< "method" or "router", and its registered name
  const Plugin* plugin;
};

/// Those of the method and of the components in its complete parameters, in this order. What is
/// built in is left out.
std::vector<PluginComponent> plugin_components(const std::string& method, const Json& parameters);

}  // namespace assay
