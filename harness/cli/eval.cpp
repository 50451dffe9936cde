#include <fmt/format.h>

#include "harness/checkpoint/checkpoint.h"
#include "harness/cli/commands.h"
#include "harness/cli/named_model.h"
#include "harness/core/error.h"
#include "harness/core/log.h"
#include "harness/model/open.h"
#include "harness/model/placement.h"
#include "harness/sweep/cell.h"
#include "harness/sweep/device.h"
#include "harness/task/task.h"

namespace assay::cli {
namespace {

struct Options {
  std::string checkpoint, adapter, device = "auto", split = "test", dtype;
  std::vector<std::string> tasks;
  bool json = false;
};

void print_scores(const std::vector<ScoreRecord>& scores) {
  fmt::print("{:32} {:16} {:>8} {:>8}\n", "task", "metric", "value", "items");
  for (const ScoreRecord& score : scores)
    fmt::print("{:32} {:16} {:8.4f} {:8}\n", score.task, score.metric, score.value,
               score.outcomes.size());
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
  const auto checkpoint = Checkpoint::open(named_model(options.checkpoint, options.adapter));
  Cell cell;
  cell.kind = "model";
  cell.record_kind = "model";
  const auto devices = parse_devices(options.device);
  check_devices(*architecture_of(*checkpoint), devices);
  cell.experts = {model_ref(*checkpoint)};
  for (const auto& task : tasks) cell.tasks.push_back({task->name(), task->hash()});
  cell.split = split_name(split);
  cell.device = device_text(devices);
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
  command->add_option("CHECKPOINT", options->checkpoint, kModelHelp)->required();
  command->add_option("--tasks", options->tasks, "task names or globs")->required();
  command->add_option("--split", options->split, "train, validation or test")
      ->capture_default_str();
  command->add_option("--device", options->device, kDevicesHelp)->capture_default_str();
  command->add_option("--adapter", options->adapter, kAdapterHelp);
  command->add_option("--dtype", options->dtype,
                      "what a language model computes in: float32, bfloat16, float16; without it "
                      "float32 on the CPU, as stored on accelerators");
  command->add_flag("--json", options->json, "print JSON, per-item outcomes included");
  command->callback([options] { eval(*options); });
}

}  // namespace assay::cli
