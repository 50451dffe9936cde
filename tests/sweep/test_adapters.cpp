#include <ATen/ATen.h>

#include "harness/checkpoint/safetensors.h"
#include "harness/checkpoint/writer.h"
#include "harness/core/process.h"
#include "harness/model/adapter.h"
#include "harness/sweep/cell.h"
#include "harness/task/task.h"
#include "tests/core/environment_variable.h"
#include "tests/core/temporary_folder.h"
#include "tests/model/language_models.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

/// A small model over bytes, an adapter for it, and a task with a good and one with a bad item.
class AdaptedModel {
 public:
  AdaptedModel() : tasks_("ASSAY_TASKS_DIR", folder_.path() / "suites") {
    Json config = example_config("llama");
    config["vocab_size"] = 256;
    const auto model = language(config);
    StateDict weights = model->initial_weights(3);
    for (auto& [name, tensor] : weights) tensor.mul_(10);
    write_checkpoint(path("base"), weights, {config, Json(), "", {}}, false);
    write_adapter(4);

    write_file(path("good.jsonl"), "{\"q\": \"one and\", \"a\": \"two\"}\n");
    write_file(path("bad.jsonl"), "{\"q\": \"one and\"}\n");
    Json tasks = Json::array();
    for (const std::string name : {"bad", "good"})
      tasks.push_back(
          {{"name", name}, {"dataset", {{"files", {{"test", path(name + ".jsonl")}}}}}});
    fs::create_directories(path("suites"));
    write_file(path("suites/bytes.json"),
               Json{{"summary", "s"},
                    {"kind", "log_likelihood"},
                    {"shared", {{"prompt", "{{q}}"}, {"target", "{{a}}"}}},
                    {"tasks", tasks}}
                   .dump());
  }

  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }

  void write_adapter(double alpha) const {
    fs::create_directories(path("lora"));
    write_file(path("lora/adapter_config.json"),
               Json{{"peft_type", "LORA"}, {"r", 2}, {"lora_alpha", alpha}}.dump());
    const std::string down = "base_model.model.model.layers.0.mlp.down_proj.lora_";
    write_safetensors(path("lora/adapter_model.safetensors"),
                      {{down + "A.weight", at::ones({2, 12})},
                       {down + "B.weight", at::arange(16, at::kFloat).view({8, 2})}});
  }

  Cell cell(bool adapted) const {
    Cell cell;
    cell.kind = "model";
    cell.record_kind = "model";
    cell.experts = {model_ref(*Checkpoint::open(path("base")))};
    cell.tasks = {{"bytes/good", load_task("bytes/good")->hash()}};
    cell.split = "test";
    cell.device = "cpu";
    if (adapted) cell.adapter = {path("lora"), adapter_hash(path("lora"))};
    return cell;
  }

  double score(bool adapted) const {
    const RunRecord record = run_cell(cell(adapted));
    INFO(record.reason);
    REQUIRE(record.status == RunStatus::kOk);
    REQUIRE(record.scores.size() == 2);
    CHECK(record.scores[1].metric == "perplexity");
    return record.scores[1].value;
  }

 private:
  TemporaryFolder folder_;
  EnvironmentVariable tasks_;
};

}  // namespace

TEST_CASE("an adapted model never gets the answers of its base", "[sweep][language]") {
  const AdaptedModel model;
  const double base = model.score(false), adapted = model.score(true);
  const EnvironmentVariable kept("ASSAY_RESPONSES_DIR", model.path("responses"));

  CHECK(base != adapted);
  for (int pass = 0; pass < 2; ++pass) {  // asked, then known
    CHECK(model.score(false) == base);
    CHECK(model.score(true) == adapted);
  }
  const RunRecord again = run_cell(model.cell(true));
  CHECK(again.diagnostics["language"]["requests"] == 0);
  CHECK(again.diagnostics["adapter"]["hash"] == adapter_hash(model.path("lora")));
}

TEST_CASE("an adapter is known by its tensors and its configuration", "[sweep][language]") {
  const AdaptedModel model;
  const Cell before = model.cell(true);
  const double score = model.score(true);

  model.write_adapter(5);

  CHECK(model.cell(true).key() != before.key());
  CHECK(before.key() != model.cell(false).key());
  CHECK(Json(before).get<Cell>().key() == before.key());
  CHECK(model.score(true) != score);
  CHECK_THAT(run_cell(before).reason, Contains("the adapter changed"));
  OpenOptions adapted;
  adapted.adapter = model.path("lora");
  CHECK(open_model(model.path("base"), adapted).weights_hash ==
        adapted_hash(open_model(model.path("base"), {}).weights_hash,
                     adapter_hash(model.path("lora"))));
}

TEST_CASE("assay eval prints the scores there are, then the error", "[cli][language]") {
  const AdaptedModel model;
  const auto eval = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments{ASSAY_PROGRAM, "eval", model.path("base"), "--tasks"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_process(arguments);
  };

  const ProcessResult both = eval({"bytes/*"});
  CHECK(both.exit_code == 4);
  CHECK_THAT(both.output, Contains("bytes/good") && Contains("perplexity") &&
                              Contains("1 of 2 tasks failed; bytes/bad: ") &&
                              Contains("bad.jsonl line 1"));
  const ProcessResult validation = eval({"bytes/good", "--split", "validation"});
  CHECK(validation.exit_code == 2);
  CHECK_THAT(validation.output, Contains("'bytes/good' has no validation split"));
  const ProcessResult plain = eval({"bytes/good"});
  const ProcessResult adapted = eval({"bytes/good", "--adapter", model.path("lora")});
  CHECK(plain.exit_code == 0);
  CHECK(adapted.exit_code == 0);
  CHECK(plain.output != adapted.output);
  CHECK(eval({"bytes/good", "--adapter", model.path("none")}).exit_code == 2);
  CHECK_THAT(eval({"bytes/good", "--device", "cpu,cpu"}).output, Contains("stands twice"));
}

TEST_CASE("assay eval says what was too long for the model", "[cli][language]") {
  const AdaptedModel model;
  write_file(model.path("good.jsonl"),
             Json{{"q", std::string(3000, 'a')}, {"a", "two"}}.dump() + "\n");
  const ProcessResult result =
      run_process({ASSAY_PROGRAM, "eval", model.path("base"), "--tasks", "bytes/good"});
  CHECK(result.exit_code == 0);
  // 3000 bytes and " two", of which the last is not read.
  CHECK_THAT(result.output, Contains("1 request(s) longer than the 2048 tokens") &&
                                Contains("cut at the beginning, 955 tokens in all"));
}
