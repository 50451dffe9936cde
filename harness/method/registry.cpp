#include "harness/method/method.h"

namespace assay {
namespace {

// `parameters`: what the user wrote.
std::unique_ptr<Method> without_conflict(std::unique_ptr<Method> method,
                                         const JsonReader& parameters) {
  if (const auto conflict = method->conflict()) parameters.fail(*conflict);
  return method;
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

std::unique_ptr<Method> make_method(const std::string& ref, const JsonReader& parameters) {
  const MethodRef parsed = parse_method_ref(ref);
  const MethodEntry& entry = methods().at(parsed.name, parameters.where());
  if (parsed.preset.empty()) return without_conflict(entry.make(parameters), parameters);

  std::vector<std::string> known;
  for (const Preset& preset : entry.presets) {
    known.emplace_back(preset.name);
    if (preset.name != parsed.preset) continue;
    Json merged = Json::parse(preset.parameters);
    // The user's own parameters are read strictly first, so that a message shows what they wrote.
    entry.make(parameters);
    merged.update(parameters.json());
    return without_conflict(entry.make(JsonReader(merged, parameters.where())), parameters);
  }
  throw UserError(unknown_name(fmt::format("preset of {}", parsed.name), parsed.preset,
                               parameters.where(), known));
}

std::string_view output_name(Output output) {
  switch (output) {
    case Output::kSameArchitecture:
      return "same architecture";
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
