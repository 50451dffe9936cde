#include "harness/sweep/cell.h"

#include <algorithm>

#include "harness/core/error.h"
#include "harness/core/hash.h"
#include "harness/merge/model_checks.h"
#include "harness/method/method.h"
#include "harness/model/open.h"
#include "harness/sweep/device.h"

namespace assay {
namespace {

// Raise it when the way cells are scored changes: old scores are then not reused.
constexpr uint64_t kScoringVersion = 1;

const char* status_name(RunStatus status) {
  return status == RunStatus::kOk ? "ok" : status == RunStatus::kSkipped ? "skipped" : "failed";
}

RunStatus status_from_name(const std::string& name) {
  if (name == "ok") return RunStatus::kOk;
  return name == "skipped" ? RunStatus::kSkipped : RunStatus::kFailed;
}

}  // namespace

ModelRef model_ref(const Checkpoint& checkpoint) {
  std::string computation;
  if (!checkpoint.config().is_null()) {
    const Computation opened = open_computation(checkpoint);
    computation = computation_hash(*opened.architecture, opened.tokenizer.get());
  }
  return {checkpoint.path().string(), checkpoint.content_hash(), std::move(computation),
          checkpoint.model_path().adapter.string(), has_settled_tensors(checkpoint)};
}

void to_json(Json& json, const ModelRef& model) {
  json = {{"path", model.path},
          {"hash", model.hash},
          {"computation", model.computation},
          {"adapter", model.adapter},
          {"settled", model.settled}};
}
void from_json(const Json& json, ModelRef& model) {
  json.at("path").get_to(model.path);
  json.at("hash").get_to(model.hash);
  json.at("computation").get_to(model.computation);
  json.at("adapter").get_to(model.adapter);
  json.at("settled").get_to(model.settled);
}
void to_json(Json& json, const TaskRef& task) { json = {{"name", task.name}, {"hash", task.hash}}; }
void from_json(const Json& json, TaskRef& task) {
  json.at("name").get_to(task.name);
  json.at("hash").get_to(task.hash);
}

void to_json(Json& json, const Cell& cell) {
  json = {{"kind", cell.kind},       {"record_kind", cell.record_kind},
          {"method", cell.method},   {"parameters", cell.parameters},
          {"seed", cell.seed},       {"base", cell.base},
          {"experts", cell.experts}, {"tasks", cell.tasks},
          {"split", cell.split},     {"device", cell.device},
          {"dtype", cell.dtype}};
}

void from_json(const Json& json, Cell& cell) {
  json.at("kind").get_to(cell.kind);
  json.at("record_kind").get_to(cell.record_kind);
  json.at("method").get_to(cell.method);
  cell.parameters = json.at("parameters");
  json.at("seed").get_to(cell.seed);
  json.at("base").get_to(cell.base);
  json.at("experts").get_to(cell.experts);
  json.at("tasks").get_to(cell.tasks);
  json.at("split").get_to(cell.split);
  json.at("device").get_to(cell.device);
  json.at("dtype").get_to(cell.dtype);
}

void Cell::hash_model(Hasher& hasher) const {
  if (kind == "merge") {
    const MethodInfo& info = methods().at(parse_method_ref(method).name, "a cell").info;
    hasher.text(info.name).number(static_cast<uint64_t>(info.version));
    // A preset is its parameters: they are all here.
    hasher.text(canonical(parameters)).number(seed).text(base.hash);
    // Models that lie on several devices are merged in the host's memory.
    if (device.find(',') != std::string::npos) hasher.text("merged on the cpu");
    // What spans the model saw these tensors once: scores of that time are not reused. Models
    // without them keep their keys.
    if (base.settled || std::any_of(experts.begin(), experts.end(),
                                    [](const ModelRef& expert) { return expert.settled; }))
      hasher.text("buffers and tied heads apart");
  }
  hasher.number(experts.size());
  for (const ModelRef& expert : experts) hasher.text(expert.hash);
  // A merge computes as its first expert does, every other model as it does itself.
  for (const ModelRef& expert : experts)
    if (kind != "merge" || &expert == &experts.front()) hasher.text(expert.computation);
}

std::string Cell::key() const {
  Hasher hasher;
  hasher.number(kScoringVersion).text(ASSAY_LIBTORCH_VERSION).text(kind).text(split);
  hasher.text(device_kinds(device));
  hash_model(hasher);
  for (const TaskRef& task : tasks) hasher.text(task.name).text(task.hash);
  if (!dtype.empty()) hasher.text(dtype);
  return hasher.hex();
}

std::string Cell::model_key() const {
  Hasher hasher;
  hasher.text(ASSAY_LIBTORCH_VERSION).text(kind).text(device_kinds(device));
  hash_model(hasher);
  return hasher.hex();
}

std::string Cell::describe() const {
  if (kind != "merge") return fmt::format("{} on {}", record_kind, split);
  const Json usual = make_method(method, JsonReader(Json::object(), "a cell"))->parameters();
  std::string unusual;
  for (const auto& [parameter, value] : parameters.items())
    if (usual.value(parameter, Json()) != value)
      unusual += fmt::format(" {}={}", parameter, canonical(value));
  return fmt::format("{}{} on {}", method, unusual, split);
}

RunRecord empty_record(const Cell& cell) {
  RunRecord record;
  record.key = cell.key();
  record.kind = cell.record_kind;
  record.split = cell.split;
  record.parameters = cell.parameters;
  record.seed = cell.seed;
  record.base = cell.base.hash;
  for (const ModelRef& expert : cell.experts) record.experts.push_back(expert.hash);
  if (cell.kind == "merge") {
    const MethodRef ref = parse_method_ref(cell.method);
    record.method = ref.name;
    record.preset = ref.preset;
    record.method_version = methods().at(ref.name, "a cell").info.version;
  }
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
  return {{"status", status_name(record.status)},
          {"reason", record.reason},
          {"diagnostics", record.diagnostics},
          {"costs", record.costs},
          {"scores", std::move(scores)}};
}

RunRecord result_from_json(const Cell& cell, const Json& json) {
  RunRecord record = empty_record(cell);
  record.status = status_from_name(json.at("status").get<std::string>());
  json.at("reason").get_to(record.reason);
  record.diagnostics = json.at("diagnostics");
  json.at("costs").get_to(record.costs);
  for (const Json& score : json.at("scores"))
    record.scores.push_back({score.at("task"), score.at("split"), score.at("metric"),
                             score.at("primary"), score.at("value"),
                             score.at("outcomes").get<std::vector<float>>()});
  return record;
}

}  // namespace assay
