#include "harness/cli/merge_evidence.h"

#include <algorithm>
#include <map>

#include "harness/calibration/evidence.h"
#include "harness/calibration/job.h"
#include "harness/checkpoint/origin.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/log.h"

namespace assay::cli {
namespace {

using TaskList = std::vector<std::shared_ptr<const Task>>;
using FilePtr = std::shared_ptr<const StatisticFile>;

/// What a merge's file says of calibration.
class CalibrationRequest {
 public:
  CalibrationRequest(const MergeRequest& request, const std::string& where) {
    if (request.calibration.is_null()) return;
    Json settings = request.calibration;
    if (settings.contains("tasks")) {
      read_tasks(request, JsonReader(settings["tasks"], where + ".tasks"));
      settings.erase("tasks");
    } else {
      for (const auto& [name, model] : request.experts) {
        if (trained_on(*model).empty())
          user_error(
              "{}: the expert '{}' does not say what it was trained on; name its tasks: \"tasks\": "
              "{{\"{}\": [...]}}",
              where, name, name);
        tasks_.push_back(load_tasks(trained_on(*model), name));
      }
    }
    spec_ = read_calibration(JsonReader(settings, where));
    for (const TaskList& of_expert : tasks_) check_splits(of_expert, spec_.split);
    if (spec_.split == Split::kTest)
      log_warning(
          "the merge looks at the test split of the experts' tasks: scores on it are not "
          "those of unseen data");
  }

  bool given() const { return !tasks_.empty(); }
  const TaskList& tasks(size_t expert) const { return tasks_.at(expert); }
  const CalibrationSpec& spec() const { return spec_; }

 private:
  void read_tasks(const MergeRequest& request, const JsonReader& json) {
    const size_t count = request.experts.size();
    if (json.is_array()) {
      const std::vector<JsonReader> lists = json.elements();
      if (lists.size() != count)
        json.fail(fmt::format("expected a list for each of {} experts", count));
      for (const JsonReader& list : lists)
        tasks_.push_back(load_tasks(list.as_strings(), list.where()));
      return;
    }
    JsonReader by_name = json;
    for (const auto& [name, unused] : request.experts) {
      const JsonReader list = by_name.at(name);
      tasks_.push_back(load_tasks(list.as_strings(), list.where()));
    }
    by_name.finish();
  }

  std::vector<TaskList> tasks_;
  CalibrationSpec spec_;
};

FilePtr given_file(const JsonReader& files, const StatisticRef& statistic, size_t expert,
                   const MergeRequest& request, const fs::path& folder) {
  const std::vector<std::string> paths = files.as_strings();
  if (paths.size() != request.experts.size())
    files.fail(fmt::format("expected a file for each of {} experts", request.experts.size()));
  const auto& [name, model] = request.experts[expert];
  auto file = StatisticFile::open(find_file(paths[expert], folder));
  const StatisticJob& job = file->job();
  if (job.statistic != statistic.name || job.parameters != statistic.parameters)
    files.fail(fmt::format("'{}' holds the statistic {} {}, but the method reads {} {}",
                           paths[expert], job.statistic, canonical(job.parameters), statistic.name,
                           canonical(statistic.parameters)));
  if (job.model.hash != model->content_hash())
    files.fail(
        fmt::format("'{}' is a statistic of other weights ({}) than those of the expert "
                    "'{}'",
                    paths[expert], job.model.path, name));
  return file;
}

Json provenance(const std::string& expert, const StatisticFile& file) {
  Json tasks = Json::array();
  for (const StatisticJob::OwnTask& task : file.job().tasks) tasks.push_back(task.name);
  return {{"statistic", file.job().statistic},
          {"parameters", file.job().parameters},
          {"expert", expert},
          {"tasks", std::move(tasks)},
          {"data", calibration_json(file.job().data)},
          {"bytes", file.bytes()},
          {"content_hash", file.content_hash()}};
}

/// Prompts of the request in place of calibration data. All are tokenized as the base's.
void read_prompts(const MergeRequest& request, EvidenceSources& sources) {
  std::vector<std::vector<std::string>> all;
  for (const ExpertPrompts& prompts : request.prompts) all.push_back(prompts.positive);
  for (size_t i = 0; i < request.prompts.size(); ++i) {
    if (request.prompts[i].negative.empty()) continue;
    sources.negatives[i] = all.size();
    all.push_back(request.prompts[i].negative);
  }
  sources.data = [all, model = open_computation(*request.like)](size_t expert) {
    return std::make_shared<const CalibrationData>(CalibrationData(model, all.at(expert)));
  };
}

/// Without statistics or data.
EvidenceSources sources_of(const MergeInputs& models) {
  EvidenceSources sources;
  sources.experts = models.experts.size();
  sources.reference = models.base ? models.base : models.experts.front();
  if (!models.config.is_null())  // of the models: the result may have another form
    sources.architecture = make_architecture(JsonReader(models.config, "config.json"));
  return sources;
}

std::string key_of(const StatisticRef& statistic, size_t expert) {
  return fmt::format("{} {} {}", expert, statistic.name, canonical(statistic.parameters));
}

}  // namespace

std::unique_ptr<const Evidence> structure_of(const MergeInputs& models) {
  return std::make_unique<CalibrationEvidence>(sources_of(models));
}

MergeEvidence merge_evidence(MergeRequest& request, const fs::path& config, at::Device device,
                             int64_t memory_bytes) {
  MergeEvidence made;
  if (!request.needs_data && !request.needs_architecture) return made;
  const std::string where = config.filename().string();
  const auto calibration =
      std::make_shared<const CalibrationRequest>(request, where + ".calibration");
  const auto tokens = std::make_shared<TokenCache>();
  std::map<std::string, FilePtr> files;
  for (const StatisticRef& wanted : request.statistics) {
    const StatisticRef statistic = complete(wanted);
    for (size_t i = 0; i < request.experts.size(); ++i) {
      const auto& [name, model] = request.experts[i];
      FilePtr file;
      if (request.statistics_files.contains(statistic.name)) {
        const JsonReader given(request.statistics_files[statistic.name],
                               fmt::format("{}.statistics.{}", where, statistic.name));
        file = given_file(given, statistic, i, request, config.parent_path());
      } else {
        StatisticInputs inputs{model, calibration->tasks(i), tokens, memory_bytes};
        file = compute_or_open(statistic_job(statistic, *model, calibration->tasks(i),
                                             calibration->spec(), device.str()),
                               [&] { return inputs; });
      }
      request.configuration["statistics"].push_back(provenance(name, *file));
      made.costs.push_back({{"statistic", statistic.name},
                            {"parameters", statistic.parameters},
                            {"expert", name},
                            {"examples", file->examples()},
                            {"bytes", file->bytes()},
                            {"cost", file->cost()}});
      files[key_of(statistic, i)] = std::move(file);
    }
  }

  EvidenceSources sources = sources_of(request.inputs);
  sources.device = device;
  if (!sources.architecture)
    for (const auto& [unused, file] : files)  // those of one statistic of layers
      if (sources.layers.empty()) sources.layers = file->layers();
  if (!files.empty())
    sources.statistic = [files](const StatisticRef& statistic, size_t expert) {
      return files.at(key_of(statistic, expert));
    };
  if (!request.prompts.empty()) read_prompts(request, sources);
  if (calibration->given()) {
    std::vector<std::shared_ptr<const Checkpoint>> models;
    for (const auto& [unused, model] : request.experts) models.push_back(model);
    sources.data = [calibration, models, tokens](size_t expert) {
      auto data = std::make_shared<const CalibrationData>(open_computation(*models.at(expert)),
                                                          calibration->tasks(expert),
                                                          calibration->spec(), tokens);
      for (const std::string& note : data->notes()) log_info("note: {}", note);
      return data;
    };
  }
  made.evidence = std::make_unique<CalibrationEvidence>(std::move(sources));
  return made;
}

Json planned_statistics(const MergeRequest& request) {
  Json planned = Json::array();
  for (const StatisticRef& wanted : request.statistics) {
    const StatisticRef statistic = complete(wanted);
    Json& one = planned.emplace_back(
        Json{{"statistic", statistic.name}, {"parameters", statistic.parameters}});
    if (request.statistics_files.contains(statistic.name)) {
      one["files"] = request.statistics_files[statistic.name];
      continue;
    }
    if (request.inputs.config.is_null()) continue;
    StatisticJob job;
    job.statistic = statistic.name;
    job.parameters = statistic.parameters;
    const StatisticPasses passes =
        passes_of(job, *make_architecture(JsonReader(request.inputs.config, "config.json")),
                  request.inputs.memory_bytes);
    one["memory_bytes"] = passes.bytes;
    one["passes"] = passes.layers.size();
  }
  return planned;
}

}  // namespace assay::cli
