#include <fmt/format.h>

#include "harness/cli/commands.h"
#include "harness/core/files.h"
#include "harness/core/log.h"
#include "harness/merge/merge_file.h"
#include "harness/sweep/device.h"

namespace assay::cli {

void add_merge(CLI::App& app, const Common&) {
  struct Options {
    std::string config, output, device = "auto";
    bool replace = false, json = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("merge", "merge checkpoints into a folder");
  command->footer(R"(The configuration is a JSON file, paths relative to it:
  {"method": "ties", "parameters": {"density": 0.2}, "base": "base/", "experts": ["a/", "b/"]}
Example: assay merge merge.json -o merged/)");
  command->add_option("CONFIG", options->config, "merge configuration (JSON)")->required();
  command->add_option("-o,--output", options->output, "folder to write")->required();
  command->add_option("--device", options->device, "auto, cpu or cuda[:INDEX]")
      ->capture_default_str();
  command->add_flag("--replace", options->replace, "replace the folder if it exists");
  command->add_flag("--json", options->json, "print the costs as JSON");
  command->callback([options] {
    const at::Device device = parse_device(options->device);
    MergeFile file = MergeFile::read(find_file(options->config));
    const FolderReport report = merge_to_folder(file, device, options->output, options->replace);
    if (options->json)
      fmt::print("{}\n", Json{{"output", options->output},
                              {"statistics", report.merge.statistics},
                              {"merge", report.merge.merge},
                              {"write", report.write},
                              {"diagnostics", report.merge.diagnostics}}
                             .dump(2));
    log_info("merged {} experts with {} into {}", file.experts.size(), file.method,
             options->output);
  });
}

}  // namespace assay::cli
