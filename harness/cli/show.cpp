#include <fmt/format.h>
#include <fmt/ranges.h>

#include <limits>

#include "harness/calibration/statistic.h"
#include "harness/cli/commands.h"
#include "harness/cli/sample_log.h"
#include "harness/cli/task_options.h"
#include "harness/cli/terminal_width.h"
#include "harness/core/component_json.h"
#include "harness/core/error.h"
#include "harness/core/json.h"
#include "harness/core/paths.h"
#include "harness/merge/merge.h"
#include "harness/method/method.h"
#include "harness/method/router.h"
#include "harness/plugin/plugins.h"
#include "harness/sweep/describe.h"
#include "harness/task/task_plugins.h"

namespace assay::cli {
namespace {

std::string needs_text(const Needs& needs) {
  std::vector<std::string> parts;
  if (needs.base) parts.emplace_back("the base checkpoint");
  parts.push_back(needs.min_experts == needs.max_experts
                      ? fmt::format("exactly {}", experts_text(needs.min_experts))
                  : needs.max_experts == Needs::kAnyNumber
                      ? fmt::format("at least {}", experts_text(needs.min_experts))
                      : fmt::format("{} to {} experts", needs.min_experts, needs.max_experts));
  if (needs.same_shapes) parts.emplace_back("tensors of the same names and shapes");
  if (needs.same_initialization) parts.emplace_back("experts fine-tuned from one initialisation");
  if (needs.calibration_inputs) parts.emplace_back("calibration inputs");
  if (needs.calibration_labels) parts.emplace_back("calibration labels");
  if (needs.gradients) parts.emplace_back("gradients");
  if (needs.architecture) parts.emplace_back("layers of a known architecture");
  if (needs.tokenizer) parts.emplace_back("one tokenizer");
  return fmt::format("{}", fmt::join(parts, ", "));
}

// A component's own parameters follow it, indented.
void print_parameter(const ParamDoc& parameter, int indent = 2) {
  const Json json = parameter_to_json(parameter);
  const Json& usual = parameter.default_value;
  print_folded(fmt::format("{:{}}{}  ({}, default {})", "", indent, parameter.name, parameter.type,
                           canonical(is_component(usual) ? Json(component_name(usual)) : usual)));
  const auto print_more = [&](const std::string& text) {
    print_folded(fmt::format("{:{}}{}", "", indent + 4, text));
  };
  print_more(parameter.help);
  if (json.contains("range"))
    print_more(fmt::format("range: {} to {}",
                           json["range"][0].is_null() ? "-inf" : json["range"][0].dump(),
                           json["range"][1].is_null() ? "inf" : json["range"][1].dump()));
  if (json.contains("choices"))
    print_more(fmt::format("choices: {}", fmt::join(parameter.choices, ", ")));
  if (json.contains("sweep")) print_more(fmt::format("tuned over: {}", spaced(json["sweep"])));
  for (const ParamDoc& inner : parameter.children) print_parameter(inner, indent + 4);
}

void print_plugin(const Plugin* plugin) {
  if (plugin)
    print_folded(
        fmt::format("from {}: {}", plugin_text(*plugin), utf8_text(plugin->path.string())));
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
                            {"presets", presets},
                            {"plugin", plugin_json(methods().plugin_of(record.name))},
                            {"search", entry.search.empty() ? Json() : Json::parse(entry.search)}}
                           .dump(2));
    return;
  }
  print_folded(
      fmt::format("{} (version {}): {}", entry.info.name, entry.info.version, entry.info.summary));
  print_folded(fmt::format("paper: {}", entry.info.paper));
  print_plugin(methods().plugin_of(std::string(entry.info.name)));
  print_folded(fmt::format("needs: {}", needs_text(entry.info.needs)));
  print_folded(fmt::format("gives: {}", output_name(entry.info.needs.output)));
  if (entry.info.randomized) print_folded("the result depends on the seed");
  if (!entry.info.flops.empty())
    print_folded(fmt::format("FLOPs of N experts of d parameters: {}", entry.info.flops));
  if (!entry.search.empty())
    print_folded(fmt::format("searched in sweeps by: {}", spaced(Json::parse(entry.search))));
  fmt::print("parameters:{}\n", entry.parameters().empty() ? " none" : "");
  for (const ParamDoc& parameter : entry.parameters()) print_parameter(parameter);
  if (entry.presets.empty()) return;
  fmt::print("presets:\n");
  for (const Preset& preset : entry.presets) {
    print_folded(fmt::format("  {}@{}  {}", entry.info.name, preset.name, preset.help));
    print_folded(fmt::format("      {}", spaced(Json::parse(preset.parameters))));
  }
}

void show_statistic(const std::string& name, bool json) {
  const StatisticEntry& entry = statistics().at(name, "the command line");
  if (json) {
    Json parameters = Json::array();
    for (const ParamDoc& parameter : entry.parameters)
      parameters.push_back(parameter_to_json(parameter));
    fmt::print("{}\n", Json{{"name", entry.info.name},
                            {"version", entry.info.version},
                            {"paper", entry.info.paper},
                            {"summary", entry.info.summary},
                            {"gradients", entry.info.gradients},
                            {"plugin", plugin_json(statistics().plugin_of(name))},
                            {"parameters", parameters}}
                           .dump(2));
    return;
  }
  print_folded(
      fmt::format("{} (version {}): {}", entry.info.name, entry.info.version, entry.info.summary));
  print_folded(fmt::format("paper: {}", entry.info.paper));
  print_plugin(statistics().plugin_of(name));
  if (entry.info.gradients) print_folded("takes gradients, of one example at a time");
  fmt::print("parameters:{}\n", entry.parameters.empty() ? " none" : "");
  for (const ParamDoc& parameter : entry.parameters) print_parameter(parameter);
}

void show_router(const std::string& name, bool json) {
  const RouterEntry& entry = routers().at(name, "the command line");
  const RouterInfo& info = entry.info;
  if (json) {
    Json parameters = Json::array();
    for (const ParamDoc& parameter : entry.parameters)
      parameters.push_back(parameter_to_json(parameter));
    fmt::print("{}\n", Json{{"name", info.name},
                            {"version", info.version},
                            {"paper", info.paper},
                            {"summary", info.summary},
                            {"needs", needs_to_json({.name = info.name,
                                                     .paper = info.paper,
                                                     .summary = info.summary,
                                                     .needs = info.needs,
                                                     .randomized = info.randomized})},
                            {"plugin", plugin_json(routers().plugin_of(name))},
                            {"parameters", parameters}}
                           .dump(2));
    return;
  }
  print_folded(fmt::format("{} (version {}): {}", info.name, info.version, info.summary));
  print_folded(fmt::format("paper: {}", info.paper));
  print_plugin(routers().plugin_of(name));
  print_folded(fmt::format("needs: {}", needs_text(info.needs)));
  if (info.randomized) print_folded("the gates depend on the seed");
  fmt::print("parameters:{}\n", entry.parameters.empty() ? " none" : "");
  for (const ParamDoc& parameter : entry.parameters) print_parameter(parameter);
}

struct TaskOptions {
  std::string name, split = "test";
  int64_t item = 0;  // from 1; 0: the definition
  bool json = false;
};

void print_block(const std::string& title, const Json& texts) {
  for (const Json& text : texts.is_array() ? texts : Json::array({texts}))
    fmt::print("--- {}\n{}\n", title, text.get<std::string>());
}

// The exact requests to the model.
void show_item(const Task& task, const TaskOptions& options) {
  const Split split = split_from_name(options.split, "--split");
  task.check_split(split);
  const std::vector<ItemRequests> items = task.item_requests(split);
  if (options.item > static_cast<int64_t>(items.size()))
    user_error("--item {}: the {} split of '{}' has the items 1 to {}", options.item, options.split,
               task.name(), items.size());
  const Json item = requests_to_json(items[static_cast<size_t>(options.item - 1)]);
  if (options.json) {
    fmt::print("{}\n", item.dump(2));
    return;
  }
  fmt::print("{}, {} item {} of {}: {}\n", task.name(), options.split, options.item, items.size(),
             item["where"].get<std::string>());
  print_block("prompt", item["prompt"]);
  print_block("continuation", item.value("continuations", Json::array()));
  if (item.contains("target")) print_block("correct answer", item["target"]);
  if (item.contains("right_choice"))
    fmt::print("--- the correct choice is number {}\n", item["right_choice"].get<size_t>() + 1);
  if (item.contains("stop"))
    fmt::print("--- stops at {} or after {} tokens\n", item["stop"].dump(),
               item["max_tokens"].dump());
}

void show_task(const TaskOptions& options) {
  const auto task = load_task(options.name, "the command line");
  if (options.item > 0) return show_item(*task, options);
  std::optional<DataPlugin> data;  // a kind of a plugin says itself what its keys mean
  if (!task->plugin()) data = data_plugin(task->definition(), task->name());
  fmt::print("{}\n",
             Json{{"name", task->name()},
                  {"suite_file", utf8_text(suite_files({task->name()}).front().second.string())},
                  {"primary_metric", task->primary_metric()},
                  {"plugin", plugin_json(task->plugin())},
                  {"data_plugin", plugin_json(data ? data->plugin : nullptr)},
                  {"definition", task->definition()}}
                 .dump(2));
}

}  // namespace

void add_show(CLI::App& app, const Common&) {
  CLI::App* command = app.add_subcommand("show", "describe one method, router, statistic or task");
  command->require_subcommand(1);
  CLI::App* method =
      command->add_subcommand("method", "summary, paper, needs, parameters and presets");
  auto name = std::make_shared<std::string>();
  auto json = std::make_shared<bool>(false);
  method->add_option("NAME", *name, "method, for example ties")->required();
  method->add_flag("--json", *json, "print JSON");
  method->callback([name, json] { show_method(*name, *json); });

  CLI::App* router =
      command->add_subcommand("router", "summary, paper, needs and parameters of a router");
  router->add_option("NAME", *name, "router, for example hidden_avg")->required();
  router->add_flag("--json", *json, "print JSON");
  router->callback([name, json] { show_router(*name, *json); });

  CLI::App* statistic =
      command->add_subcommand("statistic", "summary, paper and parameters of a statistic");
  statistic->add_option("NAME", *name, "statistic, for example input_gram")->required();
  statistic->add_flag("--json", *json, "print JSON");
  statistic->callback([name, json] { show_statistic(*name, *json); });

  CLI::App* task =
      command->add_subcommand("task", "its definition, or the requests about one item");
  task->footer("Example: assay show task knowledge/arc-easy --item 3");
  auto options = std::make_shared<TaskOptions>();
  task->add_option("NAME", options->name, "task, for example math/gsm8k")->required();
  task->add_option("--item", options->item, "the item's number, from 1")
      ->check(CLI::Range(int64_t{1}, std::numeric_limits<int64_t>::max()));
  task->add_option("--split", options->split, "train, validation or test")->capture_default_str();
  add_tasks_dir(*task);
  task->add_flag("--json", options->json, "print JSON");
  task->callback([options] { show_task(*options); });
}

}  // namespace assay::cli
