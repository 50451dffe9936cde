#include <fmt/format.h>

#include "harness/checkpoint/checkpoint.h"
#include "harness/cli/commands.h"
#include "harness/cli/terminal_width.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/log.h"
#include "harness/model/adapter.h"
#include "harness/model/open.h"
#include "harness/model/placement.h"
#include "harness/sweep/cell.h"
#include "harness/sweep/device.h"
#include "harness/task/task.h"
#include "reports/text_table.h"

namespace assay::cli {
namespace {

struct Options {
  std::string checkpoint, adapter, device = "auto", split = "test", dtype;
  std::vector<std::string> tasks;
  bool json = false;
};

void print_scores(const std::vector<ScoreRecord>& scores) {
  Table table{.columns = {{"task"}, {"metric"}, {"value", true}, {"items", true}},
              .groups = {{"", {}}},
              .names = 1};
  for (const ScoreRecord& score : scores)
    table.groups[0].rows.push_back({{.text = score.task},
                                    {.text = score.metric},
                                    {.text = fmt::format("{:.4f}", score.value)},
                                    {.text = fmt::format("{}", score.outcomes.size())}});
  fmt::print("{}", text_table(table, terminal_width()));
}

/// Says how many inputs were too long for the model.
void tell_cuts(const Json& diagnostics) {
  for (const auto& [reader, what] :
       {std::pair("language", "request"), std::pair("encoder", "input")}) {
    const auto found = diagnostics.find(reader);
    if (found == diagnostics.end()) continue;
    const Json shortened = found->at(fmt::format("shortened_{}s", what));
    if (shortened != 0)
      log_warning("{} {}(s) longer than the {} tokens that the model takes: {}, {} tokens in all",
                  shortened.dump(), what, found->at("max_length").dump(),
                  found->at("too_long").get<std::string>(), found->at("dropped_tokens").dump());
  }
}

void eval(const Options& options) {
  const Split split = split_from_name(options.split, "the command line");
  const auto tasks = load_tasks(options.tasks, "--tasks");
  for (const auto& task : tasks) task->check_split(split);
  const auto checkpoint =
      Checkpoint::open(fs::absolute(find_file(options.checkpoint)).lexically_normal());
  Cell cell;
  cell.kind = "model";
  cell.record_kind = "model";
  const auto devices = parse_devices(options.device);
  check_devices(*architecture_of(*checkpoint), devices);
  cell.experts = {model_ref(*checkpoint)};
  for (const auto& task : tasks) cell.tasks.push_back({task->name(), task->hash()});
  cell.split = split_name(split);
  cell.device = device_text(devices);
  if (!options.adapter.empty()) {
    const fs::path folder = fs::absolute(find_file(options.adapter)).lexically_normal();
    cell.adapter = {folder.string(), adapter_hash(folder)};
  }
  if (!options.dtype.empty()) dtype_from_name(options.dtype, "--dtype");
  cell.dtype = options.dtype;

  std::exception_ptr error;
  const RunRecord record = run_cell(cell, &error);
  tell_cuts(record.diagnostics);
  if (options.json)
    fmt::print("{}\n", result_to_json(record).dump(2));
  else if (!record.scores.empty())
    print_scores(record.scores);
  if (error) std::rethrow_exception(error);
}

}  // namespace

void add_eval(CLI::App& app, const Common&) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("eval", "score one checkpoint on tasks");
  command->footer(R"(Example: assay eval out/models/digits/base-weak --tasks 'digits/*')");
  command->add_option("CHECKPOINT", options->checkpoint, "checkpoint folder")->required();
  command->add_option("--tasks", options->tasks, "task names or globs")->required();
  command->add_option("--split", options->split, "train, validation or test")
      ->capture_default_str();
  command->add_option("--device", options->device, kDevicesHelp)->capture_default_str();
  command->add_option("--adapter", options->adapter, "folder of a LoRA adapter to add");
  command->add_option("--dtype", options->dtype,
                      "what a language model computes in: float32, bfloat16, float16; without it "
                      "float32 on the CPU, as stored on accelerators");
  command->add_flag("--json", options->json, "print JSON, per-item outcomes included");
  command->callback([options] { eval(*options); });
}

}  // namespace assay::cli
