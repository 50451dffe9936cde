#include "harness/core/parameters.h"

#include <algorithm>
#include <cmath>

#include "harness/core/component_json.h"

namespace assay {

bool is_component(const Json& value) { return !component_kind(value).empty(); }

Json flat_parameters(const Json& parameters) {
  Json flat = Json::object();
  for (const auto& [name, value] : parameters.items()) {
    flat[name] = is_component(value) ? Json(component_name(value)) : value;
    if (!is_component(value)) continue;
    const Json flat_own = flat_parameters(component_parameters(value));
    for (const auto& [inner, inner_value] : flat_own.items())
      flat[fmt::format("{}.{}", name, inner)] = inner_value;
  }
  return flat;
}

std::vector<ParamDoc> flat_docs(const std::vector<ParamDoc>& docs) {
  std::vector<ParamDoc> flat;
  for (const ParamDoc& doc : docs) {
    flat.push_back(doc);
    for (ParamDoc inner : flat_docs(doc.children)) {
      inner.name = fmt::format("{}.{}", doc.name, inner.name);
      flat.push_back(std::move(inner));
    }
  }
  return flat;
}

namespace detail {

double checked_number(const JsonReader& value, const ParamSpec& spec) {
  const double number = value.as_number();
  if (!std::isfinite(number) || number < spec.range.low || number > spec.range.high)
    value.fail(fmt::format("parameter '{}' must lie in [{}, {}]", spec.name, spec.range.low,
                           spec.range.high));
  return number;
}

size_t checked_choice(const JsonReader& value, const ParamSpec& spec) {
  const std::string name = value.as_string();
  const auto it = std::find(spec.choices.begin(), spec.choices.end(), name);
  if (it == spec.choices.end())
    throw UserError(unknown_name(fmt::format("value of '{}'", spec.name), name, value.where(),
                                 {spec.choices.begin(), spec.choices.end()}));
  return static_cast<size_t>(it - spec.choices.begin());
}

std::vector<double> checked_list(const JsonReader& value, const ParamSpec& spec) {
  std::vector<double> numbers;
  for (const auto& element : value.elements()) numbers.push_back(checked_number(element, spec));
  return numbers;
}

}  // namespace detail
}  // namespace assay
