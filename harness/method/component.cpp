#include "harness/method/component.h"

#include <algorithm>

#include "harness/core/component_json.h"
#include "harness/method/method.h"
#include "harness/method/router.h"

namespace assay {
namespace {

/// The parameters of a stored component, with their own defaults.
std::vector<ParamDoc> docs_of(const Json& component) {
  const std::string name = component_name(component);
  return component_kind(component) == RouterComponent::kType
             ? routers().at(name, "a component").parameters
             : methods().at(name, "a component").parameters();
}

/// The docs with these values as defaults.
std::vector<ParamDoc> configured(std::vector<ParamDoc> docs, const Json& parameters) {
  for (ParamDoc& doc : docs) {
    doc.default_value = parameters.at(doc.name);
    if (is_component(doc.default_value))
      doc.children = configured(docs_of(doc.default_value), doc.default_value);
  }
  return docs;
}

}  // namespace

MethodComponent::MethodComponent(std::string ref) : ref_(std::move(ref)) {
  read(JsonReader(Json::object(), "the default of a component"));
}

void MethodComponent::read(const JsonReader& json) {
  if (!json.is_string() && !json.is_object())
    json.fail("expected a method: its name, or an object with \"method\" and its parameters");
  Json parameters = json.is_object() ? json.json() : Json::object();
  JsonReader reader(parameters, json.where());
  const std::string ref = json.is_string() ? json.as_string() : reader.string("method", ref_);
  const int64_t version = methods().at(parse_method_ref(ref).name, json.where()).info.version;
  if (const auto stored = reader.find("version"); stored && stored->as_integer() != version)
    stored->fail(fmt::format("{} has version {} here", ref, version));
  parameters.erase("method");
  parameters.erase("version");
  method_ = configure_method(ref, JsonReader(parameters, json.where()));
}

Json MethodComponent::to_json() const {
  Json json = method_->parameters();
  json["method"] = method_->info().name;
  json["version"] = method_->info().version;
  return json;
}

std::vector<ParamDoc> MethodComponent::describe() const { return configured_docs(*method_); }

std::vector<ParamDoc> configured_docs(const Method& method) {
  const std::string name(method.info().name);
  return configured(methods().at(name, "a component").parameters(), method.parameters());
}

Json changed_parameters(const std::vector<ParamDoc>& docs, const Json& parameters) {
  Json changed = Json::object();
  for (const ParamDoc& doc : docs) {
    const Json value = parameters.value(doc.name, doc.default_value);
    if (!is_component(value)) {
      if (value != doc.default_value) changed[doc.name] = value;
      continue;
    }
    const bool usual = component_name(value) == component_name(doc.default_value);
    if (!usual) changed[doc.name] = component_name(value);
    const Json inner = changed_parameters(usual ? doc.children : docs_of(value), value);
    for (const auto& [name, inner_value] : inner.items())
      changed[fmt::format("{}.{}", doc.name, name)] = inner_value;
  }
  return changed;
}

Needs unite(const Needs& one, const Needs& other) {
  return {.base = one.base || other.base,
          .min_experts = std::max(one.min_experts, other.min_experts),
          .max_experts = std::min(one.max_experts, other.max_experts),
          .calibration_inputs = one.calibration_inputs || other.calibration_inputs,
          .calibration_labels = one.calibration_labels || other.calibration_labels,
          .gradients = one.gradients || other.gradients,
          .architecture = one.architecture || other.architecture,
          .same_shapes = one.same_shapes || other.same_shapes,
          .same_initialization = one.same_initialization || other.same_initialization,
          .tokenizer = one.tokenizer || other.tokenizer,
          .output = one.output == Output::kSameArchitecture ? other.output : one.output};
}

}  // namespace assay
