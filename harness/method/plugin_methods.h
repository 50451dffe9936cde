/// Which plugins a configured method comes from.
#pragma once

#include <map>
#include <string>

#include "harness/core/json.h"
#include "harness/core/registry.h"

namespace assay {

/// The plugins of the method and of the components in its complete parameters, by the methods'
/// names. Built-in methods are left out.
std::map<std::string, const Plugin*> plugin_methods(const std::string& method,
                                                    const Json& parameters);

}  // namespace assay
