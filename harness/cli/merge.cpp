#include <fmt/format.h>

#include "harness/cli/commands.h"
#include "harness/cli/merge_evidence.h"
#include "harness/core/files.h"
#include "harness/core/interrupt.h"
#include "harness/core/log.h"
#include "harness/core/paths.h"
#include "harness/merge/explain.h"
#include "harness/merge/merge_folder.h"
#include "harness/merge/model_checks.h"
#include "harness/merge/preflight.h"
#include "harness/model/layers_of.h"
#include "harness/model/open.h"
#include "harness/sweep/device.h"

namespace assay::cli {
namespace {

/// "Statistic input_gram {} of each of 2 experts: ...".
std::string statistic_text(const Json& planned, size_t experts) {
  std::string from = "computed unless it is stored";
  if (planned.contains("files"))
    from = "read from files";
  else if (planned.contains("memory_bytes"))
    from += fmt::format(", with sums of about {} in {} pass(es)",
                        bytes_text(planned["memory_bytes"]), planned["passes"].get<size_t>());
  return fmt::format("Statistic {} {} of each of {} experts: {}.\n",
                     planned["statistic"].get<std::string>(), canonical(planned["parameters"]),
                     experts, from);
}

void print_explanation(MergeRequest request, const fs::path& folder, int64_t memory_bytes,
                       bool json) {
  refuse(request.problems);
  request.inputs.memory_bytes = memory_bytes;
  const Explanation explanation = explain(request, folder);
  const Json statistics = planned_statistics(request);
  if (json) {
    Json all = explanation_json(explanation);
    all["statistics"] = statistics;
    fmt::print("{}\n", all.dump(2));
    return;
  }
  fmt::print("{}", explanation_text(explanation));
  for (const Json& one : statistics)
    fmt::print("{}", statistic_text(one, request.inputs.experts.size()));
}

// Absent for a model of an architecture that Assay does not know, which can be merged all the same.
std::optional<BlockOfTensor> known_blocks(const Checkpoint& model) {
  if (model.config().is_null()) return std::nullopt;
  try {
    return block_of_tensors(*architecture_of(model), model.tensors());
  } catch (const UserError&) {
    return std::nullopt;
  }
}

}  // namespace

void add_merge(CLI::App& app, const Common&) {
  struct Options {
    std::string config, output, device = "auto", vocab_policy, extra_tensors;
    std::optional<uint64_t> seed;
    std::optional<std::string> task_expert;
    uint64_t memory = uint64_t{1} << 30, shard_size = uint64_t{5} << 30;
    bool replace = false, resume = false, json = false, explain = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("merge", "merge checkpoints into a folder");
  command->footer(R"(The configuration is mergekit's YAML or a JSON file, paths relative to it:
  {"method": "ties", "parameters": {"density": 0.2}, "base": "base/", "experts": ["a/", "b/"]}
Examples: assay merge merge.json -o merged/
          assay merge --explain mergekit.yaml)");
  command->add_option("CONFIG", options->config, "merge configuration (YAML or JSON)")->required();
  CLI::Option* output =
      command->add_option("-o,--output", options->output, "folder to write, unless --explain");
  command->add_flag("--explain", options->explain,
                    "print the planned operation for every tensor; reads headers only");
  command->add_option("--seed", options->seed, "seed of random methods");
  command->add_option("--task-expert", options->task_expert,
                      "with a method that makes a model per task: the expert, by its name in the "
                      "configuration or its index from 0, whose tasks the model is for");
  command->add_option("--vocab-policy", options->vocab_policy,
                      "for vocabularies of different sizes: error, "
                      "truncate_to_base, common_submatrix or mean_fill");
  command->add_option("--extra-tensors", options->extra_tensors,
                      "for tensors that not all models have, except buffers: error, copy or drop");
  command->add_option("--device", options->device, "auto, cpu or cuda[:INDEX]")
      ->capture_default_str();
  command->add_flag("--replace", options->replace,
                    "replace the folder if Assay wrote it, and only then");
  command
      ->add_option("--memory", options->memory,
                   "approximate limit of memory, as in 512MiB, "
                   "whatever the size of the models")
      ->transform(CLI::AsSizeValue(false))
      ->default_str("1GiB");
  command->add_option("--shard-size", options->shard_size, "maximum size of one weights file")
      ->transform(CLI::AsSizeValue(false))
      ->default_str("5GiB");
  command->add_flag("--resume", options->resume, "resume a killed merge: reuse its finished files");
  command->add_flag("--json", options->json, "print the costs, or the explanation, as JSON");
  command->callback([options, output] {
    const at::Device device = parse_device(options->device);
    MergeChoices choices{.seed = options->seed, .task_expert = options->task_expert};
    if (!options->vocab_policy.empty())
      choices.vocab_policy = vocab_policy_from_name(options->vocab_policy, "--vocab-policy");
    if (!options->extra_tensors.empty())
      choices.extra_tensors = extra_tensors_from_name(options->extra_tensors, "--extra-tensors");
    choices.blocks = known_blocks;
    choices.structure = structure_of;
    const fs::path config = find_file(options->config);
    if (!output->empty())
      resolve_output(options->output);  // reports a wrong name before the configuration is read
    MergeRequest request = MergeRequest::read(config, choices);
    if (options->explain)
      return print_explanation(std::move(request),
                               output->empty() ? fs::path("merged") : fs::path(options->output),
                               static_cast<int64_t>(options->memory), options->json);
    if (output->empty()) user_error("assay merge needs the folder to write: -o FOLDER");
    refuse(request.problems);
    const FolderOptions folder_options{.device = device,
                                       .memory_bytes = static_cast<int64_t>(options->memory),
                                       .shard_bytes = static_cast<int64_t>(options->shard_size),
                                       .replace = options->replace,
                                       .resume = options->resume,
                                       .keep = {config}};
    check_merge_folder(request, folder_options, options->output);  // before any tensor is read
    for (const MergeSection& section : request.sections())
      for (std::string& note :
           value_notes(section.inputs, needs_same_initialization(request.groups)))
        request.notes.push_back(std::move(note));
    for (const std::string& note : request.notes) log_info("note: {}", note);
    const MergeEvidence evidence =
        merge_evidence(request, config, device, folder_options.memory_bytes);
    request.inputs.evidence = evidence.evidence.get();
    set_interrupt_note(
        fmt::format("nothing was written to '{}'; the same command starts "
                    "again, with --resume it reuses the finished files",
                    options->output));
    const MergeReport report = merge_to_folder(request, folder_options, options->output);
    if (options->json)
      fmt::print("{}\n", Json{{"output", utf8_text(options->output)},
                              {"statistics", report.statistics},
                              {"merge", report.merge},
                              {"data_statistics", evidence.costs},
                              {"task_bytes", report.task_bytes ? Json(*report.task_bytes) : Json()},
                              {"diagnostics", report.diagnostics}}
                             .dump(2));
    log_info("merged {} with {} into {}", experts_text(std::ssize(request.inputs.experts)),
             request.title, options->output);
  });
}

}  // namespace assay::cli
