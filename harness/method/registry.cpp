#include "harness/method/method.h"

#include <map>

#include "harness/core/component_json.h"

namespace assay {
namespace {

/// A preset's parameters with the user's in their place. A component that does not say what it is
/// is what the preset names, with these parameters.
Json overridden(const MethodEntry& entry, Json preset, const JsonReader& given) {
  std::map<std::string, std::string> kinds;  // of components
  for (const ParamDoc& doc : entry.parameters())
    if (is_component_kind(doc.type)) kinds[doc.name] = doc.type;
  for (const auto& [name, reader] : given.entries()) {
    const Json& value = reader.json();
    const auto kind = kinds.find(name);
    const bool adds = kind != kinds.end() && preset.contains(name) && value.is_object() &&
                      !value.contains(kind->second);
    Json& place = preset[name];
    if (adds && place.is_string()) place = {{kind->second, place}};
    if (adds)
      place.update(value);
    else
      place = value;
  }
  return preset;
}

}  // namespace

at::Tensor Method::merge_for(const TensorJob&, const std::any&, size_t) const {
  ASSAY_CHECK(false, "{} makes one model for all tasks", info().name);
}

Registry<MethodEntry>& methods() {
  static Registry<MethodEntry> registry("method");
  return registry;
}

MethodRef parse_method_ref(const std::string& text) {
  const size_t at = text.find('@');
  if (at == std::string::npos) return {text, ""};
  if (at + 1 == text.size()) user_error("method '{}' names no preset after the '@'", text);
  return {text.substr(0, at), text.substr(at + 1)};
}

Json preset_with(const std::string& ref, const JsonReader& given) {
  const MethodRef parsed = parse_method_ref(ref);
  const MethodEntry& entry = methods().at(parsed.name, given.where());
  if (parsed.preset.empty()) return given.json();
  std::vector<std::string> known;
  for (const Preset& preset : entry.presets) {
    known.emplace_back(preset.name);
    if (preset.name == parsed.preset)
      return overridden(entry, Json::parse(preset.parameters), given);
  }
  throw UserError(
      unknown_name(fmt::format("preset of {}", parsed.name), parsed.preset, given.where(), known));
}

std::unique_ptr<Method> configure_method(const std::string& ref, const JsonReader& parameters) {
  const Json all = preset_with(ref, parameters);
  return methods()
      .at(parse_method_ref(ref).name, parameters.where())
      .make(JsonReader(all, parameters.where()));
}

std::unique_ptr<Method> make_method(const std::string& ref, const JsonReader& parameters) {
  auto method = configure_method(ref, parameters);
  if (const auto conflict = method->conflict()) parameters.fail(*conflict);
  return method;
}

std::string_view output_name(Output output) {
  switch (output) {
    case Output::kSameArchitecture:
      return "same architecture";
    case Output::kModelPerTask:
      return "a model per task";
    case Output::kReshaped:
      return "other layers or shapes";
    case Output::kWider:
      return "wider";
    case Output::kMixtureOfExperts:
      return "mixture of experts";
    case Output::kEnsemble:
      return "ensemble";
  }
  return "?";
}

}  // namespace assay
