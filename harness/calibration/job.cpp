#include "harness/calibration/job.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "harness/calibration/statistic.h"
#include "harness/calibration/statistic_file.h"
#include "harness/calibration/version.h"
#include "harness/core/error.h"
#include "harness/core/file_lock.h"
#include "harness/core/hash.h"
#include "harness/core/log.h"
#include "harness/cost/meter.h"

namespace assay {
namespace {

std::unique_ptr<Statistic> statistic_of(const StatisticJob& job) {
  return make_statistic(
      job.statistic, JsonReader(job.parameters, fmt::format("the statistic '{}'", job.statistic)));
}

void check_inputs_of(const StatisticJob& job, const StatisticInputs& inputs,
                     const Computation& computation) {
  if (inputs.model->content_hash() != job.model.hash ||
      computation_hash(*computation.architecture, computation.tokenizer.get()) !=
          job.model.computation)
    data_error("{}: the model changed since the statistic '{}' was planned", job.model.path,
               job.statistic);
  ASSAY_CHECK(inputs.tasks.size() == job.tasks.size(), "tasks of another job");
  for (size_t i = 0; i < job.tasks.size(); ++i)
    if (inputs.tasks[i]->hash() != job.tasks[i].hash)
      data_error("the task '{}' changed since the statistic '{}' was planned", job.tasks[i].name,
                 job.statistic);
}

// Null where there is none, or a broken one, which is said when it is going to be replaced.
std::shared_ptr<const StatisticFile> open_existing(const StatisticJob& job,
                                                   const std::filesystem::path& path,
                                                   bool replacing) {
  if (!std::filesystem::exists(path)) return nullptr;
  std::string problem;
  try {
    auto file = StatisticFile::open(path);
    if (file->job().key() == job.key()) return file;
    problem = path.string() + ": another statistic than the file's name says";
  } catch (const DataError& error) {
    problem = error.what();
  }
  if (replacing) log_warning("{}; it is computed again", problem);
  return nullptr;
}

FileLock lock_of(const StatisticJob& job, const std::filesystem::path& path) {
  constexpr std::chrono::milliseconds kPause{50};
  for (bool logged = false;; logged = true) {
    if (auto lock = FileLock::try_lock(path.string() + ".lock")) return std::move(*lock);
    if (!logged) log_info("another process computes {}; waiting", job.describe());
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace

std::string StatisticJob::key() const {
  Hasher hasher;
  hasher.number(kCalibrationVersion).text(ASSAY_LIBTORCH_VERSION);
  hasher.text(statistic).number(static_cast<uint64_t>(version)).text(canonical(parameters));
  if (const Plugin* plugin = statistics().plugin_of(statistic))
    hasher.text("plugin").text(plugin->hash);
  hasher.text(model.hash).text(model.computation);
  hasher.text(canonical(calibration_json(data)));
  for (const OwnTask& task : tasks) hasher.text(task.name).text(task.hash);
  hasher.text(device.substr(0, device.find(':')));
  return hasher.hex();
}

std::string StatisticJob::describe() const {
  std::string names;
  for (const OwnTask& task : tasks) names += (names.empty() ? "" : ", ") + task.name;
  return fmt::format("{} of {}{} on {}", statistic, model.path,
                     model.adapter.empty() ? "" : "+" + model.adapter, names);
}

void to_json(Json& json, const StatisticJob& job) {
  Json tasks = Json::array();
  for (const StatisticJob::OwnTask& task : job.tasks) {
    Json& entry = tasks.emplace_back(Json{{"name", task.name}, {"hash", task.hash}});
    if (task.changes != TaskChanges()) entry["changes"] = task.changes;
  }
  json = {{"statistic", job.statistic},
          {"parameters", job.parameters},
          {"version", job.version},
          {"model",
           {{"path", job.model.path},
            {"adapter", job.model.adapter},
            {"hash", job.model.hash},
            {"computation", job.model.computation}}},
          {"tasks", std::move(tasks)},
          {"data", calibration_json(job.data)},
          {"device", job.device}};
}

void from_json(const Json& json, StatisticJob& job) {
  json.at("statistic").get_to(job.statistic);
  job.parameters = json.at("parameters");
  json.at("version").get_to(job.version);
  const Json& model = json.at("model");
  job.model = {model.at("path"), model.at("adapter"), model.at("hash"), model.at("computation")};
  job.tasks.clear();
  for (const Json& task : json.at("tasks"))
    job.tasks.push_back({task.at("name"), task.at("hash"), task.value("changes", TaskChanges())});
  job.data = read_calibration(JsonReader(json.at("data"), "a statistic's data"));
  json.at("device").get_to(job.device);
}

StatisticJob statistic_job(const StatisticRef& statistic, StatisticJob::Model model,
                           std::vector<StatisticJob::OwnTask> tasks, const CalibrationSpec& data,
                           const std::string& device) {
  StatisticRef full = complete(statistic);
  const int version = statistics().at(full.name, "a method").info.version;
  return {std::move(full.name),
          std::move(full.parameters),
          version,
          std::move(model),
          std::move(tasks),
          data,
          device};
}

StatisticJob statistic_job(const StatisticRef& statistic, const Checkpoint& model,
                           const std::vector<std::shared_ptr<const Task>>& tasks,
                           const CalibrationSpec& data, const std::string& device) {
  const Computation computation = open_computation(model);
  std::vector<StatisticJob::OwnTask> own;
  for (const auto& task : tasks) own.push_back({task->name(), task->hash(), task->changes()});
  return statistic_job(
      statistic,
      {model.path().string(), model.model_path().adapter.string(), model.content_hash(),
       computation_hash(*computation.architecture, computation.tokenizer.get())},
      std::move(own), data, device);
}

StatisticPasses passes_of(const StatisticJob& job, const Architecture& architecture,
                          int64_t memory_bytes) {
  const int64_t at_once = at::Device(job.device).is_cpu() ? at::get_num_threads() : 1;
  const auto statistic = statistic_of(job);
  StatisticPasses passes = passes_of(*statistic, architecture, memory_bytes, kBatchTokens, at_once);
  passes.bytes +=
      job.data.examples *
      statistic->example_bytes({architecture, passes.layers.front()}, job.data.max_tokens);
  return passes;
}

std::filesystem::path statistics_folder() {
  const char* folder = std::getenv("ASSAY_STATISTICS_DIR");
  return folder && *folder ? std::filesystem::path(folder)
                           : std::filesystem::path("out") / "statistics";
}

std::filesystem::path statistic_path(const StatisticJob& job) {
  return statistics_folder() / (job.key() + ".safetensors");
}

std::shared_ptr<const StatisticFile> compute(const StatisticJob& job, const StatisticInputs& inputs,
                                             const std::filesystem::path& path) {
  const Computation computation = open_computation(*inputs.model);
  check_inputs_of(job, inputs, computation);
  const auto statistic = statistic_of(job);
  Meter meter{at::Device(job.device)};
  const CalibrationData data(computation, inputs.tasks, job.data, inputs.tokens);
  for (const std::string& note : data.notes()) log_info("note: {}: {}", job.describe(), note);
  const StateDict weights = load_weights(*computation.architecture, *inputs.model,
                                         at::Device(job.device), statistic->dtype());
  StatisticPasses passes = passes_of(job, *computation.architecture, inputs.memory_bytes);
  passes.scratch = std::filesystem::absolute(path).parent_path();
  const StatisticTensors result = compute_statistic(*statistic, *computation.architecture, weights,
                                                    data, job.data.seed, kBatchTokens, passes);
  StatisticFile::write(path, job, data.size(), result, meter.stop());
  return StatisticFile::open(path);
}

std::shared_ptr<const StatisticFile> compute_or_open(
    const StatisticJob& job, const std::function<StatisticInputs()>& inputs) {
  const std::filesystem::path path = statistic_path(job);
  if (auto file = open_existing(job, path, /*replacing=*/false)) return file;
  std::filesystem::create_directories(path.parent_path());
  const FileLock lock = lock_of(job, path);
  if (auto file = open_existing(job, path, /*replacing=*/true))
    return file;  // by another process meanwhile
  return compute(job, inputs(), path);
}

}  // namespace assay
