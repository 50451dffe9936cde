#include "harness/core/component_json.h"

#include <algorithm>

namespace assay {

bool is_component_kind(const std::string& type) {
  return std::find(std::begin(kComponentKinds), std::end(kComponentKinds), type) !=
         std::end(kComponentKinds);
}

std::string component_kind(const Json& value) {
  if (value.is_object() && value.contains("version"))
    for (const char* kind : kComponentKinds)
      if (value.contains(kind)) return kind;
  return "";
}

std::string component_name(const Json& component) {
  return component.at(component_kind(component)).get<std::string>();
}

Json component_parameters(const Json& component) {
  Json parameters = component;
  parameters.erase(component_kind(component));
  parameters.erase("version");
  return parameters;
}

}  // namespace assay
