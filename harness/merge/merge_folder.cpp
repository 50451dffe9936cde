#include "harness/merge/merge_folder.h"

#include <ATen/ATen.h>

#include "harness/checkpoint/mapped_file.h"
#include "harness/checkpoint/model_texts.h"
#include "harness/checkpoint/own_folder.h"
#include "harness/checkpoint/writer.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/hash.h"
#include "harness/core/paths.h"
#include "harness/core/provenance.h"
#include "harness/merge/preflight.h"
#include "harness/method/plugin_components.h"

namespace assay {
namespace {

constexpr int64_t kMinMemory = int64_t{64} << 20;
constexpr uint64_t kRecordFormat = 2;  // raise it when the records of TensorMaker change
constexpr int64_t kQueueShare = 32;    // of the memory: results that wait for the disk

class FolderSink : public MergeSink {
 public:
  FolderSink(const fs::path& folder, const WriteOptions& options, at::Device device)
      : folder_(folder), options_(options), device_(device) {}

  void begin(const std::vector<TensorInfo>& tensors) override {
    writer_ = std::make_unique<CheckpointWriter>(folder_, tensors, options_);
  }
  const Json* resumed(const TensorInfo& tensor) const override {
    const auto record = writer_->resumed_notes().find(tensor.name);
    return record == writer_->resumed_notes().end() ? nullptr : &record->second;
  }
  at::Tensor buffer(const TensorInfo& tensor, int64_t first, int64_t count) override {
    if (device_.is_cpu()) return writer_->buffer(tensor.name, first, count);
    return at::empty({count}, at::device(device_).dtype(tensor.dtype));
  }
  void put(const TensorInfo& tensor, int64_t first, const at::Tensor& values) override {
    writer_->write(tensor.name, first, values.cpu());
  }
  void end(const TensorInfo& tensor, const Json& record) override {
    writer_->finish_tensor(tensor.name, record);
  }
  void finish(const CheckpointExtras& extras) { writer_->finish(extras); }

 private:
  fs::path folder_;
  WriteOptions options_;
  at::Device device_;
  std::unique_ptr<CheckpointWriter> writer_;
};

// {"method median": {"name": "mine", "hash": ...}} for methods and routers of plugins.
Json plugins_json(const MergeRequest& request) {
  Json json = Json::object();
  for (const MethodGroup& group : request.groups)
    for (const PluginComponent& part :
         plugin_components(std::string(group.method->info().name), group.method->parameters()))
      json[part.kind + " " + part.name] = {{"name", part.plugin->name},
                                           {"hash", part.plugin->hash}};
  return json;
}

std::string merge_identity(const MergeRequest& request, int64_t shard_bytes) {
  Hasher hasher;
  hasher.number(kRecordFormat);
  hasher.text(request.configuration.dump()).number(static_cast<uint64_t>(shard_bytes));
  if (const Json plugins = plugins_json(request); !plugins.empty()) hasher.text(plugins.dump());
  const auto add = [&](const TensorSource& model) {
    hasher.text(model.label()).text(model.stamp());
  };
  if (request.inputs.base) add(*request.inputs.base);
  for (const auto& expert : request.inputs.experts) add(*expert);
  return hasher.hex();
}

Json inputs_json(const MergeInputs& inputs, const MergeReport& report) {
  const auto describe = [](const TensorSource& model, const std::optional<std::string>& hash) {
    return Json{{"path", utf8_text(model.label())}, {"hash", hash ? Json(*hash) : Json()}};
  };
  Json json = {{"experts", Json::array()}};
  for (size_t i = 0; i < inputs.experts.size(); ++i)
    json["experts"].push_back(describe(*inputs.experts[i], report.expert_hashes.at(i)));
  if (inputs.base) json["base"] = describe(*inputs.base, report.base_hash);
  return json;
}

// What the merge reads: none of it may lie in a folder that is replaced. Files of a folder may be
// links to elsewhere; of sub-folders only side files are read.
std::vector<fs::path> read_paths(const MergeRequest& request, std::vector<fs::path> paths) {
  const auto add = [&](const fs::path& path) {
    paths.push_back(path);
    if (fs::is_directory(path))
      for (const auto& entry : fs::directory_iterator(path))
        if (std::error_code gone; !entry.is_directory(gone)) paths.push_back(entry.path());
  };
  add(request.like->path());
  for (const fs::path& path : request.read_from) add(path);
  for (const auto& [name, file] : request.side_files) paths.push_back(file);
  return paths;
}

std::string model_card(const MergeRequest& request, const Json& origin) {
  std::string card = fmt::format(
      "# Merged with {}\n\nMade by Assay {} on {}.\n\n| input | hash |\n|---|---|\n", request.title,
      origin["git_revision"].get<std::string>(), origin["made_at"].get<std::string>());
  const auto row = [&](const std::string& what, const Json& input) {
    card += fmt::format(
        "| {} {} | {} |\n", what, fs::path(input["path"].get<std::string>()).filename().string(),
        input["hash"].is_string() ? fmt::format("`{}`", input["hash"].get<std::string>())
                                  : std::string("not read"));
  };
  const Json& inputs = origin["merge"]["inputs"];
  if (inputs.contains("base")) row("base", inputs["base"]);
  for (const Json& expert : inputs["experts"]) row("expert", expert);
  Json configuration = request.configuration;
  if (!request.yaml.empty()) {
    configuration.erase("mergekit");
    card += fmt::format("\nmergekit's configuration:\n\n```yaml\n{}\n```\n", request.yaml);
  }
  return card + fmt::format("\nConfiguration:\n\n```json\n{}\n```\n", configuration.dump(2));
}

CheckpointExtras make_extras(const MergeRequest& request, const MergeReport& report) {
  CheckpointExtras extras;
  extras.config = request.config;
  if (request.plan && request.plan->config_of) extras.config = *report.config;
  if (request.inputs.dtype && extras.config.is_object())
    for (const char* key : {"torch_dtype", "dtype"})
      if (extras.config.contains(key)) extras.config[key] = dtype_name(*request.inputs.dtype);
  extras.origin = {{"assay", 1},
                   {"role", "merge"},
                   {"made_at", utc_now()},
                   {"git_revision", git_revision()},
                   {"merge", request.configuration},
                   {"diagnostics", report.diagnostics}};
  if (Json plugins = plugins_json(request); !plugins.empty())
    extras.origin["plugins"] = std::move(plugins);
  extras.origin["merge"]["inputs"] = inputs_json(request.inputs, report);
  extras.card = model_card(request, extras.origin);
  extras.copies = request.side_files;
  extras.texts = ModelTexts(request.like->path()).made();
  extras.texts.erase("config.json");
  return extras;
}

}  // namespace

void check_merge_folder(MergeRequest& request, const FolderOptions& options,
                        const fs::path& folder) {
  const fs::path target = resolve_output(folder);
  check_output_folder(target, options.replace, read_paths(request, options.keep));
  if (options.memory_bytes < kMinMemory)
    user_error("--memory: a merge takes at least {} MiB, found {} MiB", kMinMemory >> 20,
               options.memory_bytes >> 20);
  if (options.shard_bytes <= 0) user_error("--shard-size: a shard must have a size");
  request.inputs.device = options.device;
  request.inputs.memory_bytes = options.memory_bytes;
  request.inputs.scratch = existing_parent(target).string();
  request.inputs.hash = true;
  std::vector<std::string> problems = request.problems;
  for (std::string& problem : resource_problems(request.sections(), request.side_files, target))
    problems.push_back(std::move(problem));
  refuse(problems);
}

MergeReport merge_to_folder(MergeRequest& request, const FolderOptions& options,
                            const fs::path& folder) {
  check_merge_folder(request, options, folder);
  const fs::path target = resolve_output(folder);
  FolderSink sink(target,
                  {.shard_bytes = options.shard_bytes,
                   .replace = options.replace,
                   .identity = merge_identity(request, options.shard_bytes),
                   .resume = options.resume,
                   .queue_bytes = options.memory_bytes / kQueueShare,
                   .keep = read_paths(request, options.keep)},
                  options.device);
  MergeReport report;
  try {
    report =
        merge_models(request.groups, request.inputs, sink, request.plan ? &*request.plan : nullptr);
  } catch (const std::exception&) {
    check_mapped_files();  // an input that changed is the cause of what else went wrong
    throw;
  }
  check_mapped_files();
  sink.finish(make_extras(request, report));
  return report;
}

}  // namespace assay
