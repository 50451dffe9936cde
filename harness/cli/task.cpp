#include <fmt/format.h>

#include "harness/cli/commands.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/log.h"
#include "harness/core/paths.h"
#include "harness/task/lm_eval_import.h"

namespace assay::cli {
namespace {

struct Options {
  std::string from, output;
};

/// SUITE.json, or SUITE-KIND.json for every kind where there are several.
fs::path suite_file(const fs::path& output, const std::string& kind, size_t kinds) {
  if (kinds == 1) return output;
  return output.parent_path() /
         fmt::format("{}-{}{}", output.stem().string(), kind, output.extension().string());
}

void import_tasks(const Options& options) {
  const fs::path output(options.output.empty() ? fs::path(options.from).stem().string() + ".json"
                                               : options.output);
  if (output.extension() != ".json")
    user_error("--output: a suite is a file SUITE.json, found '{}'", options.output);
  if (!path_exists(options.from)) user_error("there is no '{}'", options.from);
  const ImportedTasks imported = import_lm_eval(options.from, output.stem().string());
  for (const std::string& note : imported.notes) log_info("note: {}", note);
  for (const auto& [kind, suite] : imported.suites) {
    const fs::path file = suite_file(output, kind, imported.suites.size());
    if (!write_new_file(file, suite.dump(2) + "\n"))
      user_error("'{}' exists already and is kept; name another file", file.string());
    fmt::print("{}\n", file.string());
  }
}

}  // namespace

void add_task(CLI::App& app, const Common&) {
  CLI::App* command = app.add_subcommand("task", "import tasks of other harnesses");
  command->require_subcommand(1);
  auto options = std::make_shared<Options>();
  CLI::App* import_command =
      command->add_subcommand("import", "turn YAML of lm-evaluation-harness into a suite");
  import_command->footer(
      R"(Prints the suite files, which --tasks-dir makes known. Python functions, other metrics and filters are
refused with their line.
Example: assay task import lm_eval/tasks/openbookqa -o my-tasks/obqa.json)");
  import_command->add_option("FROM", options->from, "a YAML file, or a folder of them")->required();
  import_command->add_option("-o,--output", options->output,
                             "the suite's file (default: FROM's name, .json)");
  import_command->callback([options] { import_tasks(*options); });
}

}  // namespace assay::cli
