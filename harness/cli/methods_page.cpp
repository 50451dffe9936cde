#include "harness/cli/methods_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/core/component_json.h"
#include "harness/core/json.h"
#include "harness/merge/merge.h"
#include "harness/method/method.h"

namespace assay::cli {
namespace {

/// Text within a cell of a table.
std::string cell(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '|') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string needs_of(const Needs& needs) {
  std::vector<std::string> parts;
  if (needs.base) parts.emplace_back("base");
  if (needs.max_experts != Needs::kAnyNumber || needs.min_experts > 1)
    parts.push_back(needs.min_experts == needs.max_experts
                        ? experts_text(needs.min_experts)
                        : fmt::format("{}+ experts", needs.min_experts));
  if (needs.calibration_labels)
    parts.emplace_back("labelled data");
  else if (needs.calibration_inputs)
    parts.emplace_back("data");
  if (needs.gradients) parts.emplace_back("gradients");
  if (needs.architecture) parts.emplace_back("known layers");
  if (needs.tokenizer) parts.emplace_back("one tokenizer");
  if (!needs.same_initialization) parts.emplace_back("any initialisation");
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string default_text(const ParamDoc& parameter) {
  const Json& value = parameter.default_value;
  return canonical(is_component(value) ? Json(component_name(value)) : value);
}

std::string range_text(const ParamDoc& parameter) {
  if (!parameter.choices.empty()) return fmt::format("{}", fmt::join(parameter.choices, ", "));
  if (parameter.type != "number" && parameter.type != "integer" &&
      parameter.type != "list of numbers")
    return parameter.type;
  const auto end = [](double value) {
    return std::abs(value) < 1e300 ? fmt::format("{:g}", value) : std::string("…");
  };
  return fmt::format("{} to {}", end(parameter.range.low), end(parameter.range.high));
}

std::string sweep_text(const ParamDoc& parameter) {
  std::vector<std::string> values;
  for (const Json& value : parameter.sweep) values.push_back(canonical(value));
  return fmt::format("{}", fmt::join(values, ", "));
}

/// What a merge computes and holds, with the default parameters.
std::string cost_of(const std::string& name, const MethodInfo& info) {
  std::string held;
  switch (make_method(name, JsonReader(Json::object(), "the registry"))->granularity()) {
    case Granularity::kParts:
      held = "parts of 2^20 elements of N + 1 tensors";
      break;
    case Granularity::kTensors:
      held = "one tensor of all models";
      break;
    case Granularity::kModel:
      held = "all models";
      break;
  }
  const std::string flops = info.flops.empty() ? "" : fmt::format("FLOPs: {}. ", info.flops);
  return fmt::format("{}In memory: {}.", flops, held);
}

std::string section(const std::string& name, const MethodEntry& entry) {
  const MethodInfo& info = entry.info;
  std::string text =
      fmt::format("\n## {}\n\n{} ({}). Version {}.", name, info.summary, info.paper, info.version);
  if (const std::string needs = needs_of(info.needs); !needs.empty())
    text += fmt::format(" Needs: {}.", needs);
  if (info.needs.output != Output::kSameArchitecture)
    text += fmt::format(" Gives: {}.", output_name(info.needs.output));
  if (info.randomized) text += " The result depends on the seed.";
  text += fmt::format("\n\n{}\n", cost_of(name, info));
  if (const auto parameters = entry.parameters(); !parameters.empty()) {
    text += "\n| parameter | default | values | tuned over | |\n|---|---|---|---|---|\n";
    for (const ParamDoc& parameter : parameters)
      text += fmt::format("| `{}` | {} | {} | {} | {} |\n", parameter.name,
                          cell(default_text(parameter)), cell(range_text(parameter)),
                          sweep_text(parameter), cell(parameter.help));
  }
  if (!entry.presets.empty()) {
    text += "\n| preset | parameters | |\n|---|---|---|\n";
    for (const Preset& preset : entry.presets)
      text += fmt::format("| `{}@{}` | `{}` | {} |\n", name, preset.name,
                          canonical(Json::parse(preset.parameters)), cell(preset.help));
  }
  return text;
}

}  // namespace

std::string methods_page() {
  const std::vector<std::string> names = methods().names();
  size_t presets = 0;
  std::string sections;
  for (const std::string& name : names) {
    const MethodEntry& entry = methods().at(name, "the registry");
    presets += entry.presets.size();
    sections += section(name, entry);
  }
  return fmt::format(
             "# Methods\n\n"
             "{} methods and {} published configurations of them (presets), as the registry has "
             "them: `assay list methods --markdown` wrote\n"
             "this page. `assay list methods --needs data=none` lists those that meet conditions. "
             "Where published code deviates from a paper, the\n"
             "help of the parameter or preset says how. Needs are those of the default "
             "parameters.\n\n"
             "Costs are those of merging N experts of d parameters with the default parameters; "
             "of matrices, of m rows and n columns, n the fewer, where they\n"
             "depend on these. They are counted: a test holds those of methods that look at weights "
             "alone to the counter, within a tenth. Statistics of data, passes through a network "
             "and\n"
             "tuning come on top, and a sweep's report measures them all.\n",
             names.size(), presets) +
         sections;
}

}  // namespace assay::cli
