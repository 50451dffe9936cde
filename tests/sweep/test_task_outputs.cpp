// Methods that make a model per task: each task is scored with the task model of its own expert.
#include <ATen/ATen.h>

#include "harness/checkpoint/writer.h"
#include "harness/core/files.h"
#include "harness/method/method.h"
#include "harness/model/architecture.h"
#include "harness/sweep/run_sweep.h"
#include "tests/catch.h"
#include "tests/merge/models.h"
#include "tests/sweep/run_alone.h"
#include "tests/train/blobs.h"

using namespace assay;

namespace {

constexpr const char* kModels[] = {"base", "one", "two"};

/// Three untrained models, of which "one" and "two" are the experts of a task each.
class ThreeModels {
 public:
  ThreeModels() {
    const Json config = test::blob_recipe()["architecture"];
    const auto network = make_architecture(JsonReader(config, "config.json"));
    uint64_t seed = 1;
    for (const char* name : kModels)
      write(name, network->initial_weights(seed++), network->config());
  }

  fs::path folder() const { return home_.folder(); }
  ModelRef ref(const std::string& name) const {
    return model_ref(*Checkpoint::open(folder() / name));
  }
  void write(const std::string& name, const StateDict& weights, const Json& config) const {
    write_checkpoint(folder() / name, weights, {config, Json(), "", {}}, true);
  }

  Cell cell(const std::string& method, const std::vector<std::string>& experts) const {
    Cell cell;
    cell.kind = CellKind::kMerge;
    cell.record_kind = RunKind::kMerge;
    cell.method = method;
    cell.parameters = make_method(method, JsonReader(Json::object(), "test"))->parameters();
    cell.base = ref("base");
    for (const std::string& expert : experts) cell.experts.push_back(ref(expert));
    return cell;
  }

  /// The outcomes of EMR's task model for an expert, or of the shared part, merged beforehand.
  std::vector<double> outcomes_of(std::optional<size_t> expert, const std::string& task) const {
    MergeInputs inputs;
    inputs.base = Checkpoint::open(folder() / "base");
    for (const char* name : {"one", "two"})
      inputs.experts.push_back(Checkpoint::open(folder() / name));
    inputs.task_expert = expert;
    write("merged", testing::merge("emr", Json::object(), inputs),
          Checkpoint::open(folder() / "base")->config());
    return outcomes_of("merged", task);
  }
  std::vector<double> outcomes_of(const std::string& model, const std::string& task) const {
    Cell cell;
    cell.record_kind = RunKind::kBase;
    cell.experts = {ref(model)};
    cell.tasks = {{task, load_task(task)->hash()}};
    return test::run_alone(cell).scores.at(0).outcomes;
  }

 private:
  test::BlobHome home_;
};

TaskRef task(const std::string& name, std::optional<size_t> owner) {
  return {name, load_task(name)->hash(), owner};
}

const ScoreRecord& score_of(const RunRecord& record, const std::string& task) {
  for (const ScoreRecord& score : record.scores)
    if (score.task == task && score.primary) return score;
  throw std::runtime_error("no score of " + task);
}

}  // namespace

TEST_CASE("each task is scored with its owner's task model, others with the shared part",
          "[sweep]") {
  const ThreeModels models;
  Cell cell = models.cell("emr", {"one", "two"});
  cell.tasks = {task("blobs/b", 1), task("blobs/a", {})};

  const RunRecord record = test::run_alone(cell);

  INFO(record.reason);
  REQUIRE(record.status == RunStatus::kOk);
  CHECK(record.scores.front().task == "blobs/b");  // in the order of the cell's tasks
  CHECK(score_of(record, "blobs/b").outcomes == models.outcomes_of(1, "blobs/b"));
  CHECK(score_of(record, "blobs/a").outcomes == models.outcomes_of(std::nullopt, "blobs/a"));
  // mlp of 4 inputs, 8 hidden units and 4 classes: weights of 32, biases of 8 and 4.
  CHECK(record.diagnostics.at(kTaskBytes) == 4 + 1 + 4 + 1 + 4);
}

TEST_CASE("a cell with a model per task costs what its models cost", "[sweep]") {
  const ThreeModels models;
  Cell cell = models.cell("emr", {"one", "two"});
  cell.tasks = {task("blobs/a", 0)};
  ExecutionContext context;
  const RunRecord one = run_cell(context, cell);
  cell.tasks.push_back(task("blobs/b", 1));

  const RunRecord both = run_cell(context, cell);

  for (const char* phase : {"merge", "evaluation"}) {
    INFO(phase);
    CHECK(both.costs.at(phase).flops > one.costs.at(phase).flops);
  }
  // The second cell uses what the first computed, and its second model what the first one did.
  CHECK_FALSE(one.costs.contains(kSharedPhase));
  REQUIRE(both.costs.contains(kSharedPhase));
  CHECK(both.costs.at(kSharedPhase).flops.value_or(0) +
            both.costs.at("statistics").flops.value_or(0) <=
        2 * (one.costs.at("statistics").flops.value_or(0) + *one.costs.at("merge").flops));
}

TEST_CASE("a model per task of one expert scores as that expert", "[sweep]") {
  const ThreeModels models;
  Cell cell = models.cell("emr", {"one"});
  cell.tasks = {task("blobs/a", 0)};

  const RunRecord record = test::run_alone(cell);

  INFO(record.reason);
  CHECK(record.scores.at(0).outcomes == models.outcomes_of("one", "blobs/a"));
}

TEST_CASE("a cell's key and form tell whose task model scores a task", "[sweep]") {
  const ThreeModels models;
  Cell cell = models.cell("emr", {"one", "two"});
  cell.tasks = {task("blobs/a", {})};
  Cell owned = cell;
  owned.tasks.front().owner = 0;
  Cell other = cell;
  other.tasks.front().owner = 1;

  CHECK(owned.key() != cell.key());
  CHECK(owned.key() != other.key());
  CHECK(Json(owned).get<Cell>().key() == owned.key());
  CHECK(owned.model_key() == cell.model_key());
  CHECK(owned.model_key(0) != owned.model_key());
  CHECK(owned.model_key(0) != owned.model_key(1));
}

TEST_CASE("the planner gives tasks owners where a method makes a model per task", "[sweep]") {
  const ThreeModels models;
  write_file(models.folder() / "sweep.json", R"({
    "name": "owners", "base": "base", "tasks": ["blobs/a", "blobs/b"],
    "trained_on": {"two": ["blobs/b"]},
    "expert_sets": [{"name": "both", "experts": ["one", "two"]}],
    "methods": ["average", "emr"]})");
  const Plan plan = plan_sweep(
      resolve_sweep(SweepFile::read(models.folder() / "sweep.json"), {at::kCPU}, Missing::kTrain));

  size_t seen = 0;
  for (const PlannedCell& planned : plan.fixed) {
    const bool per_task =
        planned.placement.row == "emr" || planned.placement.row == "oracle expert";
    seen += per_task;
    for (const TaskRef& task : planned.cell.tasks)
      CHECK(task.owner ==
            (per_task && task.name == "blobs/b" ? std::optional<size_t>(1) : std::nullopt));
  }
  CHECK(seen == 2);
}

TEST_CASE("the oracle expert is each task's own expert, and the base of held-out tasks",
          "[sweep]") {
  const ThreeModels models;
  Cell cell = models.cell("average", {"one", "two"});
  cell.kind = CellKind::kOwnExpert;
  cell.record_kind = RunKind::kOracle;
  cell.method = "";
  cell.parameters = Json::object();
  cell.tasks = {task("blobs/a", 1), task("blobs/b", {})};

  const RunRecord record = test::run_alone(cell);

  INFO(record.reason);
  REQUIRE(record.status == RunStatus::kOk);
  CHECK(score_of(record, "blobs/a").outcomes == models.outcomes_of("two", "blobs/a"));
  CHECK(score_of(record, "blobs/b").outcomes == models.outcomes_of("base", "blobs/b"));
  int64_t bytes = 0;
  const auto two = Checkpoint::open(models.folder() / "two");
  for (const TensorInfo& tensor : two->tensors()) bytes += tensor.bytes();
  CHECK(record.diagnostics.at(kTaskBytes) == bytes);

  Cell other = cell;
  other.base = models.ref("one");
  CHECK(other.key() != cell.key());
  CHECK(Json(cell).get<Cell>().key() == cell.key());
}

TEST_CASE("an oracle expert without a base says which task it has no model for", "[sweep]") {
  const ThreeModels models;
  write_file(models.folder() / "sweep.json", R"({
    "name": "owners", "tasks": ["blobs/a", "blobs/b"], "trained_on": {"two": ["blobs/b"]},
    "expert_sets": [{"name": "both", "experts": ["one", "two"]}],
    "references": ["oracle expert"], "methods": ["average"]})");
  const Plan plan = plan_sweep(
      resolve_sweep(SweepFile::read(models.folder() / "sweep.json"), {at::kCPU}, Missing::kTrain));

  const auto oracle = std::find_if(
      plan.fixed.begin(), plan.fixed.end(),
      [](const PlannedCell& planned) { return planned.placement.row == "oracle expert"; });
  REQUIRE(oracle != plan.fixed.end());
  CHECK(oracle->unmet.value_or("").find("'blobs/a'") != std::string::npos);
}
