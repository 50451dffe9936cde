#include "harness/method/plugin_methods.h"

#include "harness/method/method.h"

namespace assay {
namespace {

void add(const std::string& method, std::map<std::string, const Plugin*>& plugins) {
  const std::string name = parse_method_ref(method).name;
  if (const Plugin* plugin = methods().plugin_of(name)) plugins.emplace(name, plugin);
}

void add_components(const Json& parameters, std::map<std::string, const Plugin*>& plugins) {
  for (const auto& [unused, value] : parameters.items()) {
    if (!is_component(value)) continue;
    if (value.contains("method")) add(value["method"].get<std::string>(), plugins);
    add_components(value, plugins);
  }
}

}  // namespace

std::map<std::string, const Plugin*> plugin_methods(const std::string& method,
                                                    const Json& parameters) {
  std::map<std::string, const Plugin*> plugins;
  add(method, plugins);
  add_components(parameters, plugins);
  return plugins;
}

}  // namespace assay
