#include "harness/method/plugin_components.h"

#include "harness/core/component_json.h"
#include "harness/method/method.h"
#include "harness/method/router.h"

namespace assay {
namespace {

void add(const RegistryNames& registry, const std::string& name,
         std::vector<PluginComponent>& found) {
  if (const Plugin* plugin = registry.plugin_of(name))
    found.push_back({registry.kind(), name, plugin});
}

void add_components(const Json& parameters, std::vector<PluginComponent>& found) {
  for (const auto& [unused, value] : parameters.items()) {
    if (!is_component(value)) continue;
    const std::string name = component_name(value);
    if (component_kind(value) == routers().kind())
      add(routers(), name, found);
    else
      add(methods(), parse_method_ref(name).name, found);
    add_components(component_parameters(value), found);
  }
}

}  // namespace

std::vector<PluginComponent> plugin_components(const std::string& method, const Json& parameters) {
  std::vector<PluginComponent> found;
  add(methods(), parse_method_ref(method).name, found);
  add_components(parameters, found);
  return found;
}

}  // namespace assay
