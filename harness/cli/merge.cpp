#include <fmt/format.h>

#include "harness/cli/commands.h"
#include "harness/core/files.h"
#include "harness/core/log.h"
#include "harness/merge/merge_folder.h"
#include "harness/sweep/device.h"

namespace assay::cli {

void add_merge(CLI::App& app, const Common&) {
  struct Options {
    std::string config, output, device = "auto";
    uint64_t memory = uint64_t{1} << 30, shard_size = uint64_t{5} << 30;
    bool replace = false, resume = false, json = false;
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
  command
      ->add_option("--memory", options->memory,
                   "about how much memory to take, as in 512MiB: the size of the models does not "
                   "matter")
      ->transform(CLI::AsSizeValue(false))
      ->default_str("1GiB");
  command->add_option("--shard-size", options->shard_size, "most data in one file of weights")
      ->transform(CLI::AsSizeValue(false))
      ->default_str("5GiB");
  command->add_flag("--resume", options->resume,
                    "take up the finished files of the same merge that was killed");
  command->add_flag("--json", options->json, "print the costs as JSON");
  command->callback([options] {
    const at::Device device = parse_device(options->device);
    MergeRequest request = MergeRequest::read(find_file(options->config));
    const MergeReport report =
        merge_to_folder(request,
                        {.device = device,
                         .memory_bytes = static_cast<int64_t>(options->memory),
                         .shard_bytes = static_cast<int64_t>(options->shard_size),
                         .replace = options->replace,
                         .resume = options->resume},
                        options->output);
    if (options->json)
      fmt::print("{}\n", Json{{"output", options->output},
                              {"statistics", report.statistics},
                              {"merge", report.merge},
                              {"diagnostics", report.diagnostics}}
                             .dump(2));
    log_info("merged {} experts with {} into {}", request.inputs.experts.size(), request.title,
             options->output);
  });
}

}  // namespace assay::cli
