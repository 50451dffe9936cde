#include <ATen/ATen.h>
#include <fmt/format.h>

#include "harness/calibration/job.h"
#include "harness/calibration/statistic_file.h"
#include "harness/cli/commands.h"
#include "harness/cli/named_model.h"
#include "harness/cli/task_options.h"
#include "harness/cli/terminal_width.h"
#include "harness/core/error.h"
#include "harness/core/log.h"
#include "harness/core/paths.h"
#include "harness/merge/preflight.h"
#include "harness/sweep/device.h"

namespace assay::cli {
namespace {

struct ComputeOptions {
  std::string statistic, model, adapter, parameters = "{}", output, device = "auto";
  std::string split = "validation";
  std::vector<std::string> tasks;
  CalibrationSpec data;
  int64_t memory = int64_t{4} << 30;
};

// A file that exists is replaced only when it is a statistic.
void check_output(const fs::path& path) {
  if (!path_exists(path) || fs::is_empty(path)) return;
  try {
    StatisticFile::open(path);
  } catch (const DataError&) {
    user_error("'{}' exists and is not a statistic: it is kept; name another file", path.string());
  }
}

void compute(const ComputeOptions& options) {
  const Json parameters = parse_json(options.parameters, "--parameters");
  const std::string device = parse_device(options.device).str();
  CalibrationSpec data = options.data;
  data.split = split_from_name(options.split, "--split");
  // Names and parameters are checked before a model is opened.
  make_statistic(options.statistic, JsonReader(parameters, "--parameters"));
  if (!options.output.empty()) check_output(resolve_output(options.output));
  const auto tasks = load_tasks(options.tasks, "--task");
  check_splits(tasks, data.split);
  const auto model = Checkpoint::open(named_model(options.model, options.adapter));
  const StatisticJob job =
      statistic_job({options.statistic, parameters}, *model, tasks, data, device);
  const StatisticPasses passes = passes_of(job, *architecture_of(*model), options.memory);
  log_info("{}: about {} besides the model, {} pass{} over the examples", job.describe(),
           bytes_text(passes.bytes), passes.layers.size(), passes.layers.size() == 1 ? "" : "es");
  if (passes.bytes > options.memory && options.memory > 0)
    log_warning("that is more than --memory, and cannot be divided further");
  StatisticInputs inputs{model, tasks};
  inputs.memory_bytes = options.memory;
  const auto file = options.output.empty() ? compute_or_open(job, [&] { return inputs; })
                                           : compute(job, inputs, resolve_output(options.output));
  fmt::print("{}\n", file->path().string());
}

Json to_json(const StatisticFile& file) {
  Json tensors = Json::array(), layers = Json::array();
  for (const TensorInfo& info : file.tensors())
    tensors.push_back(
        {{"name", info.name}, {"dtype", dtype_name(info.dtype)}, {"shape", info.shape}});
  for (const LayerInfo& layer : file.layers())
    layers.push_back({{"weight", layer.weight}, {"input", layer.input}, {"inputs", layer.inputs}});
  return {{"job", file.job()},           {"key", file.job().key()}, {"examples", file.examples()},
          {"bytes", file.bytes()},       {"cost", file.cost()},     {"tensors", std::move(tensors)},
          {"layers", std::move(layers)}, {"rows", file.rows()}};
}

void show(const std::string& path, bool json) {
  const auto file = StatisticFile::open(path);
  if (json) {
    fmt::print("{}\n", to_json(*file).dump(2));
    return;
  }
  const StatisticJob& job = file->job();
  print_folded(job.describe());
  print_folded(fmt::format("parameters: {}, version {}", spaced(job.parameters), job.version));
  print_folded(
      fmt::format("data: {} examples; {}", file->examples(), spaced(calibration_json(job.data))));
  print_folded(fmt::format("weights: {}", job.model.hash));
  print_folded(fmt::format("{} tensors, {}; computed in {:.1f} s", file->tensors().size(),
                           bytes_text(file->bytes()), file->cost().wall_s.value_or(0)));
  for (const TensorInfo& info : file->tensors()) {
    std::string readers;
    for (const LayerInfo& layer : file->layers())
      if (layer.input == info.name && layer.weight != info.name)
        readers += (readers.empty() ? ", also of " : ", ") + layer.weight;
    const auto rows = file->rows().find(info.name);
    print_folded(fmt::format(
        "  {} {} {}{}{}", info.name, dtype_name(info.dtype), shape_text(info.shape),
        rows == file->rows().end() ? "" : fmt::format(", mean over {} vectors", rows->second),
        readers));
  }
}

// Compares all values with those of a new run, to rounding of the network's arithmetic.
void compare(const StatisticFile& kept, const StatisticFile& fresh) {
  constexpr double kTolerance = 1e-5;
  for (const TensorInfo& info : kept.tensors()) {
    const at::Tensor a = kept.read(info.name).to(at::kDouble);
    const at::Tensor b = fresh.read(info.name).to(at::kDouble);
    const double difference = (a - b).norm().item<double>();
    const double scale = b.norm().item<double>();
    if (!(difference <= kTolerance * scale))
      data_error("{}: '{}' differs from a new run by {:.2g} of its norm", kept.label(), info.name,
                 scale > 0 ? difference / scale : difference);
  }
}

void verify(const std::string& path, bool recompute) {
  const auto file = StatisticFile::open(path);
  file->verify();
  if (recompute) {
    const StatisticJob& job = file->job();
    std::vector<std::shared_ptr<const Task>> tasks;
    for (const StatisticJob::OwnTask& task : job.tasks)
      tasks.push_back(load_task(task.name, path, task.changes));
    const fs::path again = path + ".verified.safetensors";
    check_output(again);
    const auto model = Checkpoint::open(ModelPath(job.model.path, job.model.adapter));
    compare(*file, *assay::compute(job, {model, tasks}, again));
    fs::remove(again);
  }
  log_info("{}: {} tensors are those that were written{}", path, file->tensors().size(),
           recompute ? ", and those of a new run" : "");
}

void add_compute(CLI::App& statistics) {
  auto options = std::make_shared<ComputeOptions>();
  CLI::App* command = statistics.add_subcommand("compute", "compute a statistic of a model");
  command->footer(R"(Prints the file's path: without -o it is named by its content's key, under
out/statistics or ASSAY_STATISTICS_DIR, and is computed only if it does not exist.
Example: assay statistics compute input_gram out/models/digits/expert-mnist \
             --task 'digits/mnist-*' -o expert-mnist.safetensors)");
  command->add_option("NAME", options->statistic, "statistic (assay list statistics)")->required();
  command->add_option("MODEL", options->model, kModelHelp)->required();
  command->add_option("--adapter", options->adapter, kAdapterHelp);
  command->add_option("--task", options->tasks, "tasks or globs whose examples are used")
      ->required();
  command->add_option("--parameters", options->parameters, "of the statistic, as JSON");
  command->add_option("--split", options->split, "train, validation or test")
      ->capture_default_str();
  command->add_option("--examples", options->data.examples, "number of examples over all tasks")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--seed", options->data.seed, "of the examples' order")
      ->capture_default_str();
  command->add_option("--max-tokens", options->data.max_tokens, "longer texts are cut")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("-o,--output", options->output, "file to write");
  command
      ->add_option(
          "--memory", options->memory,
          "approximate limit of memory besides the model, as in 2GiB: more passes over the "
          "examples take less; 0: no limit")
      ->transform(CLI::AsSizeValue(false))
      ->default_str("4GiB");
  command->add_option("--device", options->device, "auto, cpu or cuda[:INDEX]")
      ->capture_default_str();
  add_tasks_dir(*command);
  command->callback([options] { compute(*options); });
}

}  // namespace

void add_statistics(CLI::App& app, const Common&) {
  CLI::App* command =
      app.add_subcommand("statistics", "statistics of models on their own data, for methods");
  command->require_subcommand(1);
  add_compute(*command);

  auto path = std::make_shared<std::string>();
  auto flag = std::make_shared<bool>(false);
  CLI::App* show_command =
      command->add_subcommand("show", "what a statistic's file holds, and how it was made");
  show_command->add_option("FILE", *path, "a statistic")->required();
  show_command->add_flag("--json", *flag, "print JSON");
  show_command->callback([path, flag] { show(*path, *flag); });

  CLI::App* verify_command = command->add_subcommand("verify", "check a statistic's file");
  verify_command->add_option("FILE", *path, "a statistic")->required();
  verify_command->add_flag("--recompute", *flag, "compute it again, and compare");
  add_tasks_dir(*verify_command);
  verify_command->callback([path, flag] { verify(*path, *flag); });
}

}  // namespace assay::cli
