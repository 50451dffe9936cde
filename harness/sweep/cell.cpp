#include "harness/sweep/cell.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "harness/calibration/version.h"
#include "harness/core/error.h"
#include "harness/merge/model_checks.h"
#include "harness/method/plugin_components.h"
#include "harness/method/running_moments.h"
#include "harness/model/open.h"
#include "harness/sweep/internal/used_plugins.h"

namespace assay {
namespace {

// Raise it when the way cells are scored changes: old scores are then not reused.
constexpr uint64_t kScoringVersion = 1;

void hash_owner(std::optional<size_t> owner, Hasher& hasher) {
  if (owner) hasher.text("task model").number(*owner);
}

constexpr std::array<std::pair<CellKind, const char*>, 4> kKinds{
    {{CellKind::kMerge, "merge"},
     {CellKind::kModel, "model"},
     {CellKind::kEnsemble, "ensemble"},
     {CellKind::kOwnExpert, "own expert"}}};

}  // namespace

std::string cell_kind_name(CellKind kind) {
  for (const auto& [candidate, name] : kKinds)
    if (candidate == kind) return name;
  ASSAY_CHECK(false, "a kind of cell without a name");
}

CellKind cell_kind_from_name(const std::string& name) {
  std::vector<std::string> known;
  for (const auto& [kind, candidate] : kKinds) {
    if (candidate == name) return kind;
    known.emplace_back(candidate);
  }
  throw UserError(unknown_name("kind", name, "a cell", known));
}

ModelRef model_ref(const Checkpoint& checkpoint) {
  std::string computation;
  if (!checkpoint.config().is_null()) {
    const Computation opened = open_computation(checkpoint);
    computation = computation_hash(*opened.architecture, opened.tokenizer.get());
  }
  const auto& tensors = checkpoint.tensors();
  const bool moments = std::any_of(tensors.begin(), tensors.end(), [](const TensorInfo& info) {
    return is_running_moment(info.name);
  });
  return {checkpoint.path().string(),      checkpoint.content_hash(),
          std::move(computation),          checkpoint.model_path().adapter.string(),
          has_settled_tensors(checkpoint), moments};
}

void to_json(Json& json, const ModelRef& model) {
  json = {
      {"path", model.path},       {"hash", model.hash},       {"computation", model.computation},
      {"adapter", model.adapter}, {"settled", model.settled}, {"moments", model.moments}};
}
void from_json(const Json& json, ModelRef& model) {
  json.at("path").get_to(model.path);
  json.at("hash").get_to(model.hash);
  json.at("computation").get_to(model.computation);
  json.at("adapter").get_to(model.adapter);
  json.at("settled").get_to(model.settled);
  json.at("moments").get_to(model.moments);
}
void to_json(Json& json, const TaskRef& task) {
  json = {{"name", task.name}, {"hash", task.hash}};
  if (task.owner) json["owner"] = *task.owner;
  if (task.changes != TaskChanges()) json["changes"] = task.changes;
}
void from_json(const Json& json, TaskRef& task) {
  json.at("name").get_to(task.name);
  json.at("hash").get_to(task.hash);
  task.owner.reset();
  if (json.contains("owner")) task.owner = json.at("owner").get<size_t>();
  task.changes = json.value("changes", TaskChanges());
}

void to_json(Json& json, const CellCalibration& calibration) {
  json = {{"data", calibration_json(calibration.spec)}, {"tasks", calibration.tasks}};
}
void from_json(const Json& json, CellCalibration& calibration) {
  calibration.spec = read_calibration(JsonReader(json.at("data"), "a cell"));
  json.at("tasks").get_to(calibration.tasks);
}

void to_json(Json& json, const Cell& cell) {
  json = {{"kind", cell_kind_name(cell.kind)},
          {"record_kind", run_kind_name(cell.record_kind)},
          {"method", cell.method},
          {"parameters", cell.parameters},
          {"seed", cell.seed},
          {"base", cell.base},
          {"experts", cell.experts},
          {"tasks", cell.tasks},
          {"split", split_name(cell.split)},
          {"device", device_text(cell.devices)},
          {"dtype", cell.dtype ? dtype_name(*cell.dtype) : ""},
          {"calibration", cell.calibration ? Json(*cell.calibration) : Json()}};
}

void from_json(const Json& json, Cell& cell) {
  const auto text = [&](const char* key) { return json.at(key).get<std::string>(); };
  cell.kind = cell_kind_from_name(text("kind"));
  cell.record_kind = run_kind_from_name(text("record_kind"));
  json.at("method").get_to(cell.method);
  cell.parameters = json.at("parameters");
  json.at("seed").get_to(cell.seed);
  json.at("base").get_to(cell.base);
  json.at("experts").get_to(cell.experts);
  json.at("tasks").get_to(cell.tasks);
  cell.split = split_from_name(text("split"), "a cell");
  cell.devices = devices_from_text(text("device"));
  const std::string dtype = text("dtype");
  cell.dtype.reset();
  if (!dtype.empty()) cell.dtype = dtype_from_name(dtype, "a cell");
  cell.calibration.reset();
  if (const Json& data = json.at("calibration"); !data.is_null())
    cell.calibration = data.get<CellCalibration>();
}

void Cell::hash_model(Hasher& hasher) const {
  if (kind == CellKind::kMerge) {
    const MethodInfo& info = methods().at(parse_method_ref(method).name, "a cell").info;
    hasher.text(info.name).number(static_cast<uint64_t>(info.version));
    // A preset is its parameters: they are all here.
    hasher.text(canonical(parameters)).number(seed).text(base.hash);
    // A library may change without its methods' versions. Built-in methods add nothing.
    for (const PluginComponent& part : plugin_components(method, parameters))
      hasher.text("plugin").text(part.kind).text(part.name).text(part.plugin->hash);
    // Models that several devices hold are merged in the host's memory.
    if (devices.size() > 1) hasher.text("merged on the cpu");
    // What spans the model saw these tensors once: scores of that time are not reused. Models
    // without them keep their keys.
    if (base.settled || std::any_of(experts.begin(), experts.end(),
                                    [](const ModelRef& expert) { return expert.settled; }))
      hasher.text("buffers and tied heads apart");
    // Most methods once merged running moments as they do weights.
    if (!info.own_moments && std::any_of(experts.begin(), experts.end(),
                                         [](const ModelRef& expert) { return expert.moments; }))
      hasher.text("means of running moments");
  }
  if (calibration) hash_calibration(hasher);
  if (kind == CellKind::kEnsemble && ensemble_rule() != EnsembleRule::kUsual)
    hasher.text("by").text(ensemble_rule_name(ensemble_rule()));
  if (kind == CellKind::kOwnExpert) hasher.text(base.hash).text(base.computation);
  hasher.number(experts.size());
  for (const ModelRef& expert : experts) hasher.text(expert.hash);
  // A merge computes as its first expert does, every other model as it does itself.
  for (const ModelRef& expert : experts)
    if (kind != CellKind::kMerge || &expert == &experts.front()) hasher.text(expert.computation);
}

// An expert's statistics are computed as the expert itself computes.
void Cell::hash_calibration(Hasher& hasher) const {
  hasher.text("calibration").number(kCalibrationVersion);
  hasher.text(canonical(calibration_json(calibration->spec)));
  for (size_t i = 0; i < experts.size(); ++i) {
    hasher.text(experts[i].computation).number(calibration->tasks[i].size());
    for (const TaskRef& task : calibration->tasks[i]) hasher.text(task.name).text(task.hash);
  }
  for (const StatisticJob& job : statistic_jobs()) hasher.text(job.key());
}

StatisticJob Cell::statistic_job(const StatisticRef& statistic, size_t expert) const {
  ASSAY_CHECK(calibration, "a statistic of a cell without calibration data");
  const ModelRef& model = experts.at(expert);
  std::vector<StatisticJob::OwnTask> own;
  for (const TaskRef& task : calibration->tasks.at(expert))
    own.push_back({task.name, task.hash, task.changes});
  // As merges: on the CPU where several devices hold the model.
  const at::Device device = devices.size() == 1 ? devices.front() : at::Device(at::kCPU);
  return assay::statistic_job(statistic, {model.path, model.adapter, model.hash, model.computation},
                              std::move(own), calibration->spec, device.str());
}

std::vector<StatisticJob> Cell::statistic_jobs() const {
  std::vector<StatisticJob> jobs;
  if (!calibration) return jobs;
  std::set<std::string> seen;
  for (const StatisticRef& statistic : configuration_of(*this).statistics())
    for (size_t i = 0; i < experts.size(); ++i)
      if (StatisticJob job = statistic_job(statistic, i); seen.insert(job.key()).second)
        jobs.push_back(std::move(job));
  return jobs;
}

std::string Cell::key() const {
  Hasher hasher;
  hasher.number(kScoringVersion).text(ASSAY_LIBTORCH_VERSION).text(cell_kind_name(kind));
  hasher.text(split_name(split)).text(device_kinds(devices));
  hash_model(hasher);
  for (const TaskRef& task : tasks) {
    hasher.text(task.name).text(task.hash);
    hash_owner(task.owner, hasher);
  }
  if (dtype) hasher.text(dtype_name(*dtype));
  return hasher.hex();
}

std::string Cell::model_key(std::optional<size_t> owner) const {
  Hasher hasher;
  hasher.text(ASSAY_LIBTORCH_VERSION).text(cell_kind_name(kind)).text(device_kinds(devices));
  hash_model(hasher);
  hash_owner(owner, hasher);
  return hasher.hex();
}

EnsembleRule Cell::ensemble_rule() const {
  return ensemble_rule_from_name(parameters.value("rule", "usual"));
}

std::string Cell::describe() const {
  const std::string on = fmt::format(" on {}", split_name(split));
  if (kind == CellKind::kEnsemble && ensemble_rule() != EnsembleRule::kUsual)
    return fmt::format("ensemble by {}{}", ensemble_rule_name(ensemble_rule()), on);
  if (kind != CellKind::kMerge) return fmt::format("{}{}", run_kind_name(record_kind), on);
  const auto usual = make_method(method, JsonReader(Json::object(), "a cell"));
  std::string unusual;
  const Json changed = changed_parameters(configured_docs(*usual), parameters);
  for (const auto& [name, value] : changed.items())
    unusual += fmt::format(" {}={}", name, canonical(value));
  return fmt::format("{}{}{}", method, unusual, on);
}

MethodConfiguration configuration_of(const Cell& cell) {
  return MethodConfiguration::read(parse_method_ref(cell.method).name,
                                   JsonReader(cell.parameters, "parameters"));
}

RunRecord empty_record(const Cell& cell) {
  RunRecord record;
  record.key = cell.key();
  record.kind = cell.record_kind;
  record.split = split_name(cell.split);
  record.parameters = cell.parameters;
  record.seed = cell.seed;
  record.base = cell.base.hash;
  for (const ModelRef& expert : cell.experts) record.experts.push_back(expert.hash);
  if (cell.kind == CellKind::kMerge) {
    const MethodRef ref = parse_method_ref(cell.method);
    record.method = ref.name;
    record.preset = ref.preset;
    record.method_version = methods().at(ref.name, "a cell").info.version;
  }
  if (cell.calibration) {
    record.calibration = calibration_json(cell.calibration->spec);
    record.calibration["tasks"] = cell.calibration->tasks;
    for (const StatisticJob& job : cell.statistic_jobs()) record.statistics.push_back(job.key());
    std::sort(record.statistics.begin(), record.statistics.end());
  }
  note_plugins(cell, record);
  return record;
}

Json result_to_json(const RunRecord& record) {
  Json scores = Json::array();
  for (const ScoreRecord& score : record.scores)
    scores.push_back({{"task", score.task},
                      {"split", score.split},
                      {"metric", score.metric},
                      {"primary", score.primary},
                      {"value", score.value},
                      {"outcomes", score.outcomes}});
  return {{"status", run_status_name(record.status)},
          {"reason", record.reason},
          {"diagnostics", record.diagnostics},
          {"costs", record.costs},
          {"scores", std::move(scores)}};
}

RunRecord result_from_json(const Cell& cell, const Json& json) {
  RunRecord record = empty_record(cell);
  record.status = run_status_from_name(json.at("status").get<std::string>());
  json.at("reason").get_to(record.reason);
  record.diagnostics = json.at("diagnostics");
  json.at("costs").get_to(record.costs);
  for (const Json& score : json.at("scores"))
    record.scores.push_back({score.at("task"), score.at("split"), score.at("metric"),
                             score.at("primary"), score.at("value"),
                             score.at("outcomes").get<std::vector<double>>()});
  return record;
}

}  // namespace assay
