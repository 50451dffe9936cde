// Cells whose method gives a model of another shape.
#include "harness/checkpoint/writer.h"
#include "harness/model/architecture.h"
#include "harness/task/task.h"
#include "results/model_size.h"
#include "results/routing.h"
#include "tests/catch.h"
#include "tests/core/environment_variable.h"
#include "tests/core/temporary_folder.h"
#include "tests/sweep/run_alone.h"

using namespace assay;

namespace {

/// A task of two questions, and Llama models of one and two blocks: "one" lacks the second block of
/// "two".
class Models {
 public:
  Models() : tasks_("ASSAY_TASKS_DIR", folder_.path().string()) {
    write_file(folder_.path() / "questions.jsonl", R"({"q": "one", "c": ["a", "bc"], "label": 0}
{"q": "two", "c": ["d", "ef"], "label": 1}
)");
    const Json data = {{"files", {{"test", (folder_.path() / "questions.jsonl").string()}}}};
    const Json task = {
        {"name", "first"}, {"dataset", data}, {"prompt", "Q: {{q}}"}, {"choices", "{{c}}"}};
    write_file(folder_.path() / "texts.json",
               Json{{"summary", "texts"}, {"kind", "multiple_choice"}, {"tasks", {task}}}.dump());
    Json config = Json::parse(architectures().at("llama", "a test").example);
    config["model_type"] = "llama";
    config["vocab_size"] = 256;
    config["num_hidden_layers"] = 2;
    StateDict weights = make_architecture(JsonReader(config, "$"))->initial_weights(1);
    write_checkpoint(folder_.path() / "two", weights, {config, {}, {}, {}}, false);
    std::erase_if(weights,
                  [](const auto& entry) { return entry.first.starts_with("model.layers.1."); });
    config["num_hidden_layers"] = 1;
    write_checkpoint(folder_.path() / "one", weights, {config, {}, {}, {}}, false);
  }

  RunRecord run(const std::string& kind, const std::string& method,
                const std::vector<std::string>& models,
                const Json& parameters = Json::object()) const {
    Cell cell;
    cell.kind = cell_kind_from_name(kind);
    cell.record_kind = run_kind_from_name(kind);
    cell.method = method;
    if (kind == "merge") cell.parameters = parameters;
    for (const std::string& model : models)
      cell.experts.push_back(model_ref(*Checkpoint::open(folder_.path() / model)));
    cell.tasks.push_back({"texts/first", load_task("texts/first")->hash()});
    RunRecord record = test::run_alone(cell);
    CAPTURE(record.reason);
    REQUIRE(record.status == RunStatus::kOk);
    return record;
  }

 private:
  TemporaryFolder folder_;
  EnvironmentVariable tasks_;
};

}  // namespace

TEST_CASE("a cell is scored with the architecture that the method's plan names", "[sweep]") {
  const Models models;
  const RunRecord dropped = models.run("merge", "drop_block", {"two"});  // of adding-a-method.md
  const RunRecord one = models.run("model", "", {"one"}), two = models.run("model", "", {"two"});

  REQUIRE(dropped.scores.size() == one.scores.size());
  for (size_t i = 0; i < one.scores.size(); ++i)
    CHECK(dropped.scores[i].value == one.scores[i].value);
  CHECK(dropped.costs.at("evaluation").flops == one.costs.at("evaluation").flops);
  CHECK(dropped.costs.at("evaluation").flops != two.costs.at("evaluation").flops);
}

TEST_CASE("a path through layers is scored as the model that they make", "[sweep]") {
  const Models models;
  const RunRecord path =
      models.run("merge", "layer_path", {"two", "two"}, {{"visits", {-1, -1, 0, -1}}});
  const RunRecord one = models.run("model", "", {"one"});

  REQUIRE(path.scores.size() == one.scores.size());
  for (size_t i = 0; i < one.scores.size(); ++i) CHECK(path.scores[i].value == one.scores[i].value);
  CHECK(path.costs.at("evaluation").flops == one.costs.at("evaluation").flops);
}

TEST_CASE("a mixture of equal experts scores as the expert does, at the cost of two",
          "[sweep][moe]") {
  const Models models;
  const RunRecord mixture = models.run("merge", "moe", {"two", "two", "two"});
  const RunRecord two = models.run("model", "", {"two"});

  REQUIRE(mixture.scores.size() == two.scores.size());
  for (size_t i = 0; i < two.scores.size(); ++i)
    CHECK(mixture.scores[i].value == Approx(two.scores[i].value).epsilon(1e-5));
  CHECK(*mixture.costs.at("evaluation").flops > *two.costs.at("evaluation").flops);
}

TEST_CASE("a routed ensemble of equal models scores as the model does", "[sweep][routed]") {
  const Models models;
  const RunRecord routed = models.run("merge", "routed_ensemble", {"two", "two"},
                                      {{"router", "perplexity"}, {"top_k", 1}});
  const RunRecord two = models.run("model", "", {"two"});

  REQUIRE(routed.scores.size() == two.scores.size());
  for (size_t i = 0; i < two.scores.size(); ++i)
    CHECK(routed.scores[i].value == two.scores[i].value);
  CHECK(*routed.costs.at("evaluation").flops > *two.costs.at("evaluation").flops);
}

TEST_CASE("models of different depths are scored side by side, each as it computes",
          "[sweep][routed]") {
  const Models models;
  const RunRecord routed =
      models.run("merge", "routed_ensemble", {"two", "one"}, {{"router", "uniform"}});
  const RunRecord ensemble = models.run("ensemble", "", {"two", "one"});

  REQUIRE(routed.scores.size() == ensemble.scores.size());
  for (size_t i = 0; i < ensemble.scores.size(); ++i)
    CHECK(routed.scores[i].value == Approx(ensemble.scores[i].value).epsilon(1e-6));
  // Two prompts, which both members answer.
  CHECK(routed.diagnostics.at(kRouting)["texts/first"][kSequenceRouter] == Json({2, 2}));
  CHECK(routed.diagnostics.at(kMembers) == Json(routed.experts));
  CHECK_FALSE(ensemble.diagnostics.contains(kRouting));
  const auto bytes = [](const RunRecord& record) {
    return record.diagnostics.at(kModelSize).at("bytes").get<int64_t>();
  };
  CHECK(bytes(routed) ==
        bytes(models.run("model", "", {"two"})) + bytes(models.run("model", "", {"one"})));
}

TEST_CASE("bodies of different depths are scored between one embedding and one head",
          "[sweep][routed]") {
  const Models models;
  // Both have one embedding and one head, and the width of all.
  const Json parameters = {{"router", "perplexity"}, {"top_k", 1}, {"mix", "hidden"}};
  const RunRecord hidden = models.run("merge", "routed_ensemble", {"one", "two"}, parameters);
  const RunRecord whole = models.run("merge", "routed_ensemble", {"one", "two"},
                                     {{"router", "perplexity"}, {"top_k", 1}});

  REQUIRE(hidden.scores.size() == whole.scores.size());
  for (size_t i = 0; i < whole.scores.size(); ++i)
    CHECK(hidden.scores[i].value == Approx(whole.scores[i].value).epsilon(1e-5));
}
