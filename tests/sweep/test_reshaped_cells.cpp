// Cells whose method gives a model of another shape.
#include "harness/checkpoint/writer.h"
#include "harness/model/architecture.h"
#include "harness/task/task.h"
#include "tests/catch.h"
#include "tests/core/environment_variable.h"
#include "tests/core/temporary_folder.h"
#include "tests/sweep/run_alone.h"

using namespace assay;

TEST_CASE("a cell is scored with the architecture that the method's plan names", "[sweep]") {
  const TemporaryFolder folder;
  const EnvironmentVariable tasks("ASSAY_TASKS_DIR", folder.path().string());
  write_file(folder.path() / "questions.jsonl", R"({"q": "one", "c": ["a", "bc"], "label": 0}
{"q": "two", "c": ["d", "ef"], "label": 1}
)");
  const Json data = {{"files", {{"test", (folder.path() / "questions.jsonl").string()}}}};
  const Json task = {
      {"name", "first"}, {"dataset", data}, {"prompt", "Q: {{q}}"}, {"choices", "{{c}}"}};
  write_file(folder.path() / "texts.json",
             Json{{"summary", "texts"}, {"kind", "multiple_choice"}, {"tasks", {task}}}.dump());
  // A model of two blocks, and by hand the same without the second one.
  Json config = Json::parse(architectures().at("llama", "a test").example);
  config["model_type"] = "llama";
  config["vocab_size"] = 256;
  config["num_hidden_layers"] = 2;
  StateDict weights = make_architecture(JsonReader(config, "$"))->initial_weights(1);
  write_checkpoint(folder.path() / "two", weights, {config, {}, {}, {}}, false);
  std::erase_if(weights,
                [](const auto& entry) { return entry.first.starts_with("model.layers.1."); });
  config["num_hidden_layers"] = 1;
  write_checkpoint(folder.path() / "one", weights, {config, {}, {}, {}}, false);

  const auto scores = [&](const std::string& kind, const std::string& model) {
    Cell cell;
    cell.kind = cell_kind_from_name(kind);
    cell.record_kind = run_kind_from_name(kind);
    if (kind == "merge") cell.method = "drop_block";  // of docs/adding-a-method.md
    if (kind == "merge") cell.parameters = Json::object();
    cell.experts = {model_ref(*Checkpoint::open(folder.path() / model))};
    cell.tasks.push_back({"texts/first", load_task("texts/first")->hash()});
    const RunRecord record = test::run_alone(cell);
    CAPTURE(record.reason);
    REQUIRE(record.status == RunStatus::kOk);
    return record;
  };
  const RunRecord dropped = scores("merge", "two"), one = scores("model", "one"),
                  two = scores("model", "two");
  REQUIRE(dropped.scores.size() == one.scores.size());
  for (size_t i = 0; i < one.scores.size(); ++i)
    CHECK(dropped.scores[i].value == one.scores[i].value);
  CHECK(dropped.costs.at("evaluation").flops == one.costs.at("evaluation").flops);
  CHECK(dropped.costs.at("evaluation").flops != two.costs.at("evaluation").flops);
}
