#include <fmt/format.h>

#include <limits>

#include "harness/checkpoint/checkpoint.h"
#include "harness/cli/commands.h"
#include "harness/cli/exit_codes.h"
#include "harness/cli/named_model.h"
#include "harness/cli/sample_log.h"
#include "harness/cli/task_options.h"
#include "harness/cli/terminal_width.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/log.h"
#include "harness/core/metrics.h"
#include "harness/core/paths.h"
#include "harness/model/open.h"
#include "harness/model/placement.h"
#include "harness/sweep/run_cell.h"
#include "harness/task/task.h"
#include "reports/text_table.h"

namespace assay::cli {
namespace {

struct EvalArguments {
  std::string checkpoint, adapter, device = "auto", split = "test", dtype, log_samples;
  std::vector<std::string> tasks;
  TaskChanges changes;
  bool chat = false, json = false;
};

void print_scores(const std::vector<ScoreRecord>& scores) {
  Table table{.columns = {{"task"}, {"metric"}, {"value", true}, {"stderr", true}, {"items", true}},
              .groups = {{"", {}}},
              .names = 1};
  for (const ScoreRecord& score : scores) {
    const auto error = standard_error(score.metric, score.outcomes);
    table.groups[0].rows.push_back({{.text = score.task},
                                    {.text = score.metric},
                                    {.text = fmt::format("{:.4f}", score.value)},
                                    {.text = error ? fmt::format("{:.4f}", *error) : "n/a"},
                                    {.text = fmt::format("{}", score.outcomes.size())}});
  }
  fmt::print("{}", text_table(table, terminal_width()));
}

void print_json(const RunRecord& record) {
  Json json = result_to_json(record);
  for (size_t i = 0; i < record.scores.size(); ++i) {
    const ScoreRecord& score = record.scores[i];
    const auto error = standard_error(score.metric, score.outcomes);
    json["scores"][i]["stderr"] = error ? Json(*error) : Json();
  }
  fmt::print("{}\n", json.dump(2));
}

/// Says how many inputs were too long for the model.
void warn_of_cuts(const Json& diagnostics) {
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

/// Path of the log. Reports what cannot be written before any work is done.
fs::path log_place(const fs::path& path, const std::vector<std::shared_ptr<const Task>>& tasks) {
  for (const auto& task : tasks)
    if (!task->is_about_text())
      user_error("--log-samples: the task '{}' is not about text: it has no prompts to write",
                 task->name());
  fs::path place = resolve_output(path);
  if (!fs::is_directory(place.parent_path()))
    user_error("--log-samples: there is no folder '{}'", place.parent_path().string());
  if (path_exists(place))
    user_error("--log-samples: '{}' exists already and is kept; name another file", path.string());
  return place;
}

void eval(const EvalArguments& options) {
  const Split split = split_from_name(options.split, "the command line");
  const auto model = [&] { return named_model(options.checkpoint, options.adapter); };
  TaskChanges changes = options.changes;
  if (options.chat) changes.chat = fs::absolute(model().path).string();
  const auto tasks = load_tasks(options.tasks, "--tasks", changes);
  fs::path log;
  if (!options.log_samples.empty()) log = log_place(options.log_samples, tasks);
  check_splits(tasks, split);
  const auto checkpoint = Checkpoint::open(model());
  Cell cell;
  cell.kind = CellKind::kModel;
  cell.record_kind = RunKind::kModel;
  cell.devices = parse_devices(options.device);
  check_devices(*architecture_of(*checkpoint), cell.devices);
  cell.experts = {model_ref(*checkpoint)};
  for (const auto& task : tasks)
    cell.tasks.push_back({task->name(), task->hash(), std::nullopt, task->changes()});
  cell.split = split;
  if (!options.dtype.empty()) cell.dtype = dtype_from_name(options.dtype, "--dtype");

  std::exception_ptr error;
  SampleLog samples;
  AnswerObserver observer;
  if (!log.empty())
    observer = [&](const Task& task, const TextResponses& answers) { samples.add(task, answers); };
  ExecutionContext context;
  const RunRecord record = run_cell(context, cell, &error, observer);
  warn_of_cuts(record.diagnostics);
  if (options.json)
    print_json(record);
  else if (!record.scores.empty())
    print_scores(record.scores);
  if (!log.empty() && !write_new_file(log, samples.lines(tasks, split, record.scores)))
    user_error("--log-samples: '{}' appeared meanwhile and is kept", options.log_samples);
  // With the cost of an evaluation, it was tasks that failed.
  if (error && record.costs.contains("evaluation")) throw WorkFailed(record.reason);
  if (error) std::rethrow_exception(error);
}

}  // namespace

void add_eval(CLI::App& app, const Common&) {
  auto options = std::make_shared<EvalArguments>();
  CLI::App* command = app.add_subcommand("eval", "score one checkpoint on tasks");
  command->footer(R"(Exit code 4: some tasks could not be scored; the others are printed.
Example: assay eval out/models/digits/base-weak --tasks 'digits/*')");
  command->add_option("CHECKPOINT", options->checkpoint, kModelHelp)->required();
  command->add_option("--tasks", options->tasks, "task names or globs")->required();
  command->add_option("--split", options->split, "train, validation or test")
      ->capture_default_str();
  command->add_option("--device", options->device, kDevicesHelp)->capture_default_str();
  command->add_option("--adapter", options->adapter, kAdapterHelp);
  command->add_option("--dtype", options->dtype,
                      "what a language model computes in: float32, bfloat16, float16; without it "
                      "float32 on the CPU, as stored on accelerators");
  command->add_option("--limit", options->changes.limit, "score the first so many items of a task")
      ->check(CLI::Range(int64_t{1}, std::numeric_limits<int64_t>::max()));
  command
      ->add_option("--num-fewshot", options->changes.few_shot,
                   "so many few-shot examples before every prompt, whatever the tasks say")
      ->check(CLI::Range(int64_t{0}, int64_t{1'000'000}));
  command->add_option("--log-samples", options->log_samples,
                      "write prompts, answers and metrics of every item to this file (JSON lines)");
  command->add_flag("--apply-chat-template", options->chat,
                    "write prompts as chats with the model's own template: the description is the "
                    "system's message, few-shot examples are earlier turns");
  add_tasks_dir(*command);
  command->add_flag("--json", options->json, "print JSON, per-item outcomes included");
  command->callback([options] { eval(*options); });
}

}  // namespace assay::cli
