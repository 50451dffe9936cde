#include <fmt/format.h>

#include <algorithm>

#include "harness/calibration/statistic.h"
#include "harness/cli/commands.h"
#include "harness/cli/method_filter.h"
#include "harness/cli/methods_page.h"
#include "harness/cli/task_options.h"
#include "harness/cli/terminal_width.h"
#include "harness/core/json.h"
#include "harness/core/paths.h"
#include "harness/core/text_encoding.h"
#include "harness/method/method.h"
#include "harness/method/router.h"
#include "harness/model/architecture.h"
#include "harness/plugin/plugins.h"
#include "harness/sweep/describe.h"
#include "harness/task/task.h"
#include "harness/task/task_plugins.h"
#include "harness/task/text_data.h"
#include "reports/text_table.h"

namespace assay::cli {
namespace {

struct Line {
  std::string name, text;
  std::string data{};     ///< of tasks: "there", or the number of missing files
  std::string display{};  ///< shown instead of `text`; may be empty
  const Plugin* plugin = nullptr;
};

// Checks only that the files exist; 'assay data verify' verifies them.
std::string data_of(const Json& definition) {
  size_t missing = 0;
  const Json dataset = definition.value("dataset", Json());
  if (dataset.is_string()) {
    const DatasetManifest manifest = read_manifest(dataset.get<std::string>(), "a task");
    for (const DataFile& file : manifest.files) missing += fs::exists(manifest.path(file)) ? 0 : 1;
  } else {
    missing = missing_text_files(dataset).size();
  }
  return missing == 0 ? "there" : fmt::format("{} file(s) missing", missing);
}

std::vector<Line> method_lines(const MethodFilter& filter) {
  std::vector<Line> lines;
  for (const std::string& name : methods().names()) {
    const MethodEntry& entry = methods().at(name, "the registry");
    if (!filter.keeps(entry.info.needs)) continue;
    const Output output = entry.info.needs.output;
    const std::string gives =
        output == Output::kSameArchitecture ? "" : fmt::format("; gives {}", output_name(output));
    lines.push_back({name, fmt::format("{}{} [{}]", entry.info.summary, gives, entry.info.paper),
                     "", "", methods().plugin_of(name)});
    for (const Preset& preset : entry.presets)
      lines.push_back({fmt::format("{}@{}", name, preset.name), std::string(preset.help), "", "",
                       methods().plugin_of(name)});
  }
  return lines;
}

std::vector<Line> router_lines() {
  std::vector<Line> lines;
  for (const std::string& name : routers().names()) {
    const RouterInfo& info = routers().at(name, "the registry").info;
    lines.push_back({name, fmt::format("{} [{}]", info.summary, info.paper), "", "",
                     routers().plugin_of(name)});
  }
  return lines;
}

std::vector<Line> task_lines() {
  std::vector<Line> lines;
  std::map<std::string, const Plugin*> of_suites;  // of each suite's kind
  for (const auto& [suite, file] : suite_files(task_names()))
    of_suites[suite] = task_kinds().plugin_of(read_json(file).at("kind").get<std::string>());
  for (const auto& [name, definition] : task_definitions()) {
    const Plugin* plugin = of_suites.at(name.substr(0, name.find('/')));
    if (const auto data = data_plugin(definition, name); data && !plugin) plugin = data->plugin;
    lines.push_back({name, canonical(definition), data_of(definition), spaced(definition), plugin});
  }
  return lines;
}

std::vector<Line> dataset_lines() {
  std::vector<Line> lines;
  for (const std::string& name : dataset_names()) {
    const DatasetManifest manifest = read_manifest(name);
    lines.push_back({name, fmt::format("{} ({})", manifest.title, manifest.licence), "", "",
                     dataset_loaders().plugin_of(manifest.loader)});
  }
  return lines;
}

std::vector<Line> architecture_lines() {
  std::vector<Line> lines;
  for (const std::string& name : architectures().names())
    lines.push_back({name, architectures().at(name, "the registry").summary, "", "",
                     architectures().plugin_of(name)});
  return lines;
}

std::vector<Line> statistic_lines() {
  std::vector<Line> lines;
  for (const std::string& name : statistics().names()) {
    const StatisticInfo& info = statistics().at(name, "the registry").info;
    lines.push_back({name, fmt::format("{} [{}]", info.summary, info.paper), "", "",
                     statistics().plugin_of(name)});
  }
  return lines;
}

void print_plugins(bool json) {
  Json out = Json::array();
  for (const Plugin& plugin : plugins()) {
    Json entries = Json::array();
    for (const auto& [kind, name] : plugin.entries)
      entries.push_back({{"kind", kind}, {"name", name}});
    out.push_back({{"name", plugin.name},
                   {"path", utf8_text(plugin.path.string())},
                   {"hash", plugin.hash},
                   {"entries", std::move(entries)}});
  }
  if (json) {
    fmt::print("{}\n", out.dump(2));
    return;
  }
  for (const Json& plugin : out) {
    fmt::print("{}  {}  {}\n", plugin["name"].get<std::string>(), plugin["hash"].get<std::string>(),
               printable(plugin["path"].get<std::string>()));
    for (const Json& entry : plugin["entries"])
      fmt::print("  {} {}\n", entry["kind"].get<std::string>(), entry["name"].get<std::string>());
  }
}

// Definitions of tasks can contain long prompts. Truncates between characters.
std::string truncated(std::string text) {
  constexpr size_t kMaxBytes = 240;
  if (text.size() <= kMaxBytes) return text;
  size_t end = kMaxBytes;
  while (!starts_character(text[end])) --end;
  return text.substr(0, end) + " ...";
}

// The text follows the name if both fit in a line, else it is below.
void print_line(const Line& line, size_t name_width, size_t width) {
  const std::string data = line.data.empty() ? "" : fmt::format("[data {}] ", line.data);
  const std::string from =
      line.plugin ? fmt::format(" [from {}]", plugin_text(*line.plugin)) : std::string();
  const std::string text =
      printable(data + truncated(line.display.empty() ? line.text : line.display) + from);
  const size_t indent = name_width + 2;
  const std::string on_one_line =
      folded(fmt::format("{:{}}  {}", line.name, name_width, text), width, indent);
  constexpr size_t kBreak = 1;
  if (std::count(on_one_line.begin(), on_one_line.end(), '\n') == kBreak)
    fmt::print("{:{}}  {}\n", line.name, name_width, text);
  else
    fmt::print("{}\n{}", line.name, folded("    " + text, width, 4));
}

void print(const std::vector<Line>& lines, bool json) {
  if (json) {
    Json out = Json::array();
    for (const Line& line : lines) {
      out.push_back({{"name", line.name}, {"summary", line.text}});
      if (!line.data.empty()) out.back()["data"] = line.data;
      if (line.plugin) out.back()["plugin"] = plugin_json(line.plugin);
    }
    fmt::print("{}\n", out.dump(2));
    return;
  }
  size_t width = 0;
  for (const Line& line : lines) width = std::max(width, line.name.size());
  for (const Line& line : lines) print_line(line, width, terminal_width());
}

}  // namespace

void add_list(CLI::App& app, const Common&) {
  CLI::App* command = app.add_subcommand(
      "list", "list methods, routers, tasks, datasets, statistics, architectures, plugins");
  command->require_subcommand(1);
  auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "print JSON");
  add_tasks_dir(*command);
  const auto add = [&](const char* name, const char* help, std::vector<Line> (*lines)()) {
    command->add_subcommand(name, help)->callback([lines, json] { print(lines(), *json); });
  };
  struct Chosen {
    std::vector<std::string> needs;
    bool markdown = false;
  };
  auto chosen = std::make_shared<Chosen>();
  CLI::App* listed = command->add_subcommand("methods", "merging methods and their presets");
  CLI::Option* needs = listed->add_option(
      "--needs", chosen->needs,
      "only those of which this holds: data=none|inputs|labels, gradients=yes|no, "
      "base=yes|no, architecture=yes|no, experts=N, output=one|task|other");
  listed->add_flag("--markdown", chosen->markdown, "print docs/methods.md: all of them at length")
      ->excludes(needs);
  listed->callback([chosen, json] {
    if (chosen->markdown)
      fmt::print("{}", methods_page());
    else
      print(method_lines(MethodFilter(chosen->needs)), *json);
  });
  add("routers", "routers of mixtures of experts", router_lines);
  add("tasks", "tasks, whether their data exist, and their definitions", task_lines);
  add("datasets", "datasets, with their licences", dataset_lines);
  add("statistics", "statistics of a model on its own data", statistic_lines);
  add("architectures", "network architectures", architecture_lines);
  command->add_subcommand("plugins", "loaded libraries and what each holds")->callback([json] {
    print_plugins(*json);
  });
}

}  // namespace assay::cli
