/// Parameters declared once: `void parameters(auto&& p)` of a method calls p(field, {.name = ...})
/// for every field, and parsing, checking, documentation, sweeping and storing all come from that.
#pragma once

#include <string>
#include <vector>

#include "harness/core/error.h"
#include "harness/core/json.h"
#include "harness/core/parameters/field.h"
#include "harness/core/parameters/spec.h"

namespace assay {

/// Calls `visit(field, spec)` for every parameter.
template <typename Declarer, typename Visit>
void visit_parameters(Declarer& object, const Visit& visit) {
  if constexpr (requires { object.parameters(visit); }) object.parameters(visit);
}

/// All parameters with the defaults of a default-constructed `Declarer`.
template <typename Declarer>
std::vector<ParamDoc> describe_parameters() {
  std::vector<ParamDoc> docs;
  Declarer object{};
  visit_parameters(object, [&](auto& field, const ParamSpec& spec) {
    docs.push_back(detail::parameter_doc(field, spec));
  });
  return docs;
}

/// Sets fields from a JSON object. UserError on unknown names (with the nearest), wrong types and
/// values out of range.
template <typename Declarer>
void assign_parameters(Declarer& object, JsonReader json) {
  if (!json.is_object()) json.fail("expected an object of parameters");
  visit_parameters(object, [&](auto& field, const ParamSpec& spec) {
    if (const auto value = json.find(std::string(spec.name)))
      detail::parameter_from_json(field, *value, spec);
  });
  json.finish();
}

/// Every parameter with its value, defaults included.
template <typename Declarer>
Json parameters_to_json(const Declarer& object) {
  Json json = Json::object();
  Declarer copy = object;
  visit_parameters(copy, [&](auto& field, const ParamSpec& spec) {
    json[std::string(spec.name)] = detail::parameter_to_json(field, spec);
  });
  return json;
}

/// Whether a stored value is a component's: {"method": "ties", "density": 0.2, "version": 1}.
bool is_component(const Json& value);
/// Stored parameters with those of components under dotted names: {"of": "ties", "of.density":
/// 0.2}, for comparisons and for people.
Json flat_parameters(const Json& parameters);
/// Every parameter; those of a component follow it, with dotted names.
std::vector<ParamDoc> flat_docs(const std::vector<ParamDoc>& docs);

}  // namespace assay
