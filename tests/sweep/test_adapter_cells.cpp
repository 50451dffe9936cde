#include <ATen/ATen.h>

#include <chrono>

#include "harness/checkpoint/safetensors.h"
#include "harness/checkpoint/writer.h"
#include "harness/core/error.h"
#include "harness/core/process.h"
#include "harness/sweep/run_sweep.h"
#include "harness/task/task.h"
#include "tests/checkpoint/write_safetensors.h"
#include "tests/core/environment_variable.h"
#include "tests/core/temporary_folder.h"
#include "tests/model/language_models.h"
#include "tests/sweep/run_alone.h"

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

  void write_adapter(double alpha, const std::string& name = "lora") const {
    fs::create_directories(path(name));
    write_file(path(name + "/adapter_config.json"),
               Json{{"peft_type", "LORA"}, {"r", 2}, {"lora_alpha", alpha}}.dump());
    const std::string down = "base_model.model.model.layers.0.mlp.down_proj.lora_";
    write_safetensors(path(name + "/adapter_model.safetensors"),
                      {{down + "A.weight", at::ones({2, 12})},
                       {down + "B.weight", at::arange(16, at::kFloat).view({8, 2})}});
  }

  Cell cell(bool adapted) const {
    Cell cell;
    const ModelPath model(path("base"), adapted ? path("lora") : "");
    cell.experts = {model_ref(*Checkpoint::open(model))};
    cell.tasks = {{"bytes/good", load_task("bytes/good")->hash()}};
    return cell;
  }

  double score(bool adapted) const {
    const RunRecord record = test::run_alone(cell(adapted));
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
  const RunRecord again = test::run_alone(model.cell(true));
  CHECK(again.diagnostics["language"]["requests"] == 0);
  CHECK(again.diagnostics["adapter"] == model.path("lora"));
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
  CHECK_THAT(test::run_alone(before).reason, Contains("the weights changed"));
  const std::string base = model.path("base"), adapter = model.path("lora");
  CHECK(open_model(ModelPath(base, adapter), {}).weights_hash == model.cell(true).experts[0].hash);
  CHECK(open_model(ModelPath(base), {}).weights_hash == model.cell(false).experts[0].hash);
}

TEST_CASE("a sweep merges and scores adapters as the models they make", "[sweep][language]") {
  const AdaptedModel model;
  model.write_adapter(-3, "other");
  const auto run = [&](const Json& experts) {
    write_file(model.path("sweep.json"),
               Json{{"name", "adapters"},
                    {"base", "base"},
                    {"expert_sets", {{{"name", "one"}, {"experts", experts}}}},
                    {"tasks", {"bytes/good"}},
                    {"trained_on", {{experts[0], {"bytes/good"}}}},
                    {"methods", {"average", "task_arithmetic"}}}
                   .dump());
    const ResolvedSweep sweep =
        resolve_sweep(SweepFile::read(model.path("sweep.json")), {at::kCPU}, Missing::kLeave);
    Store store = Store::open(model.path("r.sqlite"));
    return run_sweep(sweep, plan_sweep(sweep), store, *in_process_executor(),
                     current_environment("cpu", "test"));
  };
  for (const std::string name : {"lora", "other"}) {
    const auto adapted = Checkpoint::open(ModelPath(model.path("base"), model.path(name)));
    StateDict weights;
    for (const TensorInfo& info : adapted->tensors())
      weights[info.name] = adapted->read(info.name).clone();
    write_checkpoint(model.path("whole-" + name), weights, {adapted->config(), {}, "", {}}, false);
  }

  const SweepSummary first = run({"lora", "base+other"});
  CHECK(first.ran > 4);
  CHECK(first.failed == 0);
  const SweepSummary whole = run({"whole-lora", "whole-other"});  // the same weights
  CHECK(whole.ran == whole.skipped);
  CHECK(whole.reused == first.ran - first.skipped + first.reused);
  model.write_adapter(4);
  CHECK(run({"lora", "base+other"}).reused == whole.reused);
  model.write_adapter(5);
  CHECK(run({"lora", "base+other"}).reused < whole.reused);
}

TEST_CASE("a model that changes while it is scored is no failed task", "[sweep][language]") {
  const AdaptedModel model;
  const fs::path weights = model.path("base/model.safetensors");
  std::exception_ptr error;

  const RunRecord record =
      test::run_alone(model.cell(false), &error, [&](const Task&, const TextResponses&) {
        fs::last_write_time(weights, fs::last_write_time(weights) + std::chrono::seconds(1));
      });

  CHECK(record.status == RunStatus::kFailed);
  CHECK_THAT(record.reason, Contains("changed while it was read"));
  CHECK_FALSE(record.costs.contains("evaluation"));
  CHECK(test::run_alone(model.cell(false)).status == RunStatus::kOk);
}

TEST_CASE("models of which one ties its head and the other does not are refused at once",
          "[sweep][language]") {
  const AdaptedModel model;
  fs::copy(model.path("base"), model.path("tied"), fs::copy_options::recursive);
  Json config = read_json(model.path("base/config.json"));
  config["tie_word_embeddings"] = true;
  write_file(model.path("tied/config.json"), config.dump());
  const auto resolve = [&](const std::string& base, const std::string& expert) {
    write_file(model.path("sweep.json"),
               Json{{"name", "ties"},
                    {"base", base},
                    {"expert_sets", {{{"name", "one"}, {"experts", {expert}}}}},
                    {"tasks", {"bytes/good"}},
                    {"trained_on", {{expert, {"bytes/good"}}}},
                    {"methods", {"average"}}}
                   .dump());
    return resolve_sweep(SweepFile::read(model.path("sweep.json")), {at::kCPU}, Missing::kLeave);
  };

  CHECK_THROWS_WITH(resolve("base", "tied"), Contains("set 'one'") &&
                                                 Contains(model.path("tied") + " ties the head") &&
                                                 Contains("that of " + model.path("base")));
  CHECK_THROWS_WITH(resolve("tied", "base"), Contains("that of " + model.path("base")));
}

TEST_CASE("the paths of a sweep's models can be written in JSON", "[sweep][language]") {
  const AdaptedModel model;
  const fs::path folder = model.path("mod\xe8les");
  fs::create_directory(folder);
  fs::copy(model.path("base"), folder / "base", fs::copy_options::recursive);
  write_file(folder / "sweep.json",
             Json{{"name", "paths"},
                  {"expert_sets", {{{"name", "one"}, {"experts", {"base"}}}}},
                  {"tasks", {"bytes/good"}},
                  {"trained_on", {{"base", {"bytes/good"}}}},
                  {"methods", {"average"}}}
                 .dump());

  CHECK_THROWS_WITH(
      resolve_sweep(SweepFile::read(folder / "sweep.json"), {at::kCPU}, Missing::kLeave),
      Contains("must be UTF-8") && Contains("mod\\xe8les/base"));
}

TEST_CASE("an adapter of sets with different bases is named with each", "[sweep][language]") {
  const AdaptedModel model;
  fs::copy(model.path("base"), model.path("base2"), fs::copy_options::recursive);
  Json json{{"name", "adapters"},
            {"expert_sets",
             {{{"name", "one"}, {"base", "base"}, {"experts", {"lora"}}},
              {{"name", "two"}, {"base", "base2"}, {"experts", {"lora"}}}}},
            {"tasks", {"bytes/good"}},
            {"trained_on", {{"lora", {"bytes/good"}}}},
            {"methods", {"average"}}};
  const auto resolve = [&] {
    write_file(model.path("sweep.json"), json.dump());
    return resolve_sweep(SweepFile::read(model.path("sweep.json")), {at::kCPU}, Missing::kLeave);
  };

  CHECK_THROWS_WITH(resolve(), Contains("different bases") && Contains("BASE+lora"));
  json["expert_sets"][1]["experts"] = {"base2+lora"};
  json["trained_on"]["base2+lora"] = {"bytes/good"};
  CHECK(resolve().models.size() == 4);
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
  CHECK_THAT(eval({"bytes/good", "--device", "cpu,cpu"}).output, Contains("named twice"));
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
