#include <fmt/format.h>
#include <fmt/ranges.h>

#include "harness/cli/commands.h"
#include "harness/core/json.h"
#include "harness/method/method.h"
#include "harness/sweep/describe.h"

namespace assay::cli {
namespace {

std::string needs_text(const Needs& needs) {
  std::vector<std::string> parts;
  if (needs.base) parts.emplace_back("the base checkpoint");
  parts.push_back(needs.min_experts == needs.max_experts
                      ? fmt::format("exactly {} experts", needs.min_experts)
                  : needs.max_experts == Needs::kAnyNumber
                      ? fmt::format("at least {} expert(s)", needs.min_experts)
                      : fmt::format("{} to {} experts", needs.min_experts, needs.max_experts));
  if (needs.same_shapes) parts.emplace_back("tensors of the same names and shapes");
  if (needs.same_initialization) parts.emplace_back("experts fine-tuned from one initialisation");
  if (needs.calibration_inputs) parts.emplace_back("calibration inputs");
  if (needs.calibration_labels) parts.emplace_back("calibration labels");
  if (needs.gradients) parts.emplace_back("gradients");
  if (needs.tokenizer) parts.emplace_back("one tokenizer");
  return fmt::format("{}", fmt::join(parts, ", "));
}

void print_parameter(const ParamDoc& parameter) {
  const Json json = parameter_to_json(parameter);
  fmt::print("  {}  ({}, default {})\n      {}\n", parameter.name, parameter.type,
             canonical(parameter.default_value), parameter.help);
  if (json.contains("range"))
    fmt::print("      range: {} to {}\n",
               json["range"][0].is_null() ? "-inf" : json["range"][0].dump(),
               json["range"][1].is_null() ? "inf" : json["range"][1].dump());
  if (json.contains("choices"))
    fmt::print("      choices: {}\n", fmt::join(parameter.choices, ", "));
  if (json.contains("sweep")) fmt::print("      tuned over: {}\n", json["sweep"].dump());
}

void show_method(const std::string& name, bool json) {
  const MethodEntry& entry = methods().at(parse_method_ref(name).name, "the command line");
  if (json) {
    const MethodRecord record = method_record(std::string(entry.info.name));
    Json presets = Json::array();
    for (const Preset& preset : entry.presets)
      presets.push_back({{"name", preset.name},
                         {"parameters", Json::parse(preset.parameters)},
                         {"help", preset.help}});
    fmt::print("{}\n", Json{{"name", record.name},
                            {"version", record.version},
                            {"paper", record.paper},
                            {"summary", record.summary},
                            {"needs", record.needs},
                            {"parameters", record.parameters},
                            {"presets", presets}}
                           .dump(2));
    return;
  }
  fmt::print("{} (version {}): {}\npaper: {}\nneeds: {}\ngives: {}\n{}", entry.info.name,
             entry.info.version, entry.info.summary, entry.info.paper, needs_text(entry.info.needs),
             output_name(entry.info.needs.output),
             entry.info.randomized ? "the result depends on the seed\n" : "");
  fmt::print("parameters:{}\n", entry.parameters.empty() ? " none" : "");
  for (const ParamDoc& parameter : entry.parameters) print_parameter(parameter);
  if (entry.presets.empty()) return;
  fmt::print("presets:\n");
  for (const Preset& preset : entry.presets)
    fmt::print("  {}@{}  {}\n      {}\n", entry.info.name, preset.name, preset.help,
               preset.parameters);
}

}  // namespace

void add_show(CLI::App& app, const Common&) {
  CLI::App* command = app.add_subcommand("show", "describe one method");
  command->require_subcommand(1);
  CLI::App* method = command->add_subcommand(
      "method", "what it does, its paper, its needs, its parameters and presets");
  auto name = std::make_shared<std::string>();
  auto json = std::make_shared<bool>(false);
  method->add_option("NAME", *name, "method, for example ties")->required();
  method->add_flag("--json", *json, "print JSON");
  method->callback([name, json] { show_method(*name, *json); });
}

}  // namespace assay::cli
