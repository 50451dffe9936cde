// Encoders merged and scored in a sweep.
#include "harness/checkpoint/writer.h"
#include "harness/core/error.h"
#include "harness/sweep/run_sweep.h"
#include "tests/catch.h"
#include "tests/core/environment_variable.h"
#include "tests/lm/encoder_models.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

/// Two random BERT classifiers of three classes, their base, and tasks about words.
class EncoderSweep {
 public:
  EncoderSweep() {
    write_model("base", 1, 1);
    write_model("expert-a", 1, 0.7);
    write_model("expert-b", 2, 1);
    std::string lines;
    for (int i = 0; i < 24; ++i)
      lines += Json{{"a", fmt::format("t{} t{}", 4 + i, 31 - i)},
                    {"b", fmt::format("t{}", 5 + i)},
                    {"label", i % 3},
                    {"score", i % 5}}
                   .dump() +
               "\n";
    write_file(folder_.path() / "words.jsonl", lines);
    const std::string file = (folder_.path() / "words.jsonl").string();
    const Json dataset{{"files", {{"validation", file}, {"test", file}}}};
    const Json kinds = {{"classes",
                         "sequence_classification",
                         {{"classes", 3}, {"metrics", {"acc", "macro_f1", "matthews"}}}},
                        {"likeness", "sentence_similarity", Json::object()},
                        {"text", "perplexity", Json::object()}};
    for (const Json& kind : kinds) {
      Json task = kind[2];
      task.update({{"name", "words"}, {"dataset", dataset}, {"text", "{{a}}"}});
      if (kind[0] != "text") task["text_pair"] = "{{b}}";
      write_file(folder_.path() / "tasks" / (kind[0].get<std::string>() + ".json"),
                 Json{{"summary", "words"}, {"kind", kind[1]}, {"tasks", {task}}}.dump());
    }
  }

  fs::path path(const std::string& name) const { return folder_.path() / name; }

  SweepResults run(const Json& sweep) const {
    write_file(path("sweep.json"), sweep.dump());
    const ResolvedSweep resolved =
        resolve_sweep(SweepFile::read(path("sweep.json")), "cpu", Missing::kLeave);
    Store store = Store::open(path("r.sqlite"));
    run_sweep(resolved, plan_sweep(resolved), store, *in_process_executor(),
              current_environment("cpu", "test"));
    return store.load_sweep("words");
  }

 private:
  void write_model(const std::string& name, uint64_t seed, double scale) const {
    Json config = Json::parse(architectures().at("bert", "a test").example);
    config.update({{"model_type", "bert"}, {"vocab_size", 32}, {"num_labels", 3}});
    config["architectures"] = {"BertForSequenceClassification"};
    const auto network = make_architecture(JsonReader(config, "config.json"));
    StateDict weights = network->initial_weights(seed);
    for (auto& [unused, tensor] : weights)
      if (tensor.dim() > 1) tensor.mul_(20 * scale);  // so that texts differ clearly
    write_file(path("tokenizer.json"), word_tokenizer());
    write_checkpoint(path(name), weights, {network->config(), Json(), "", {path("tokenizer.json")}},
                     false);
  }

  TemporaryFolder folder_;
  EnvironmentVariable tasks_{"ASSAY_TASKS_DIR", (folder_.path() / "tasks").string()};
};

const RunRecord& row(const SweepResults& results, const std::string& name) {
  for (const auto& placed : results.runs)
    if (placed.placement.row == name && placed.run.split == "test") return placed.run;
  throw std::runtime_error("no row " + name);
}

EncoderModel opened(const EncoderSweep& sweep, const std::string& name) {
  OpenModel model = open_model(sweep.path(name), {});
  return {std::dynamic_pointer_cast<const EncoderArchitecture>(model.architecture),
          std::move(model.weights), at::kCPU, Tokenizer::open(sweep.path(name))};
}

Cell base_cell(const EncoderSweep& sweep, const std::string& task) {
  Cell cell;
  cell.kind = "model";
  cell.record_kind = "model";
  cell.experts = {
      {sweep.path("base").string(), Checkpoint::open(sweep.path("base"))->content_hash()}};
  cell.tasks = {{task, load_task(task)->hash()}};
  cell.split = "test";
  cell.device = "cpu";
  return cell;
}

/// The task's scores of a model that is made here.
std::vector<MetricResult> scores(const std::string& task, const EncoderPredictor& model) {
  return load_task(task)->evaluate(model, Split::kTest);
}

void check_row(const RunRecord& run, const EncoderPredictor& model) {
  INFO(run.reason);
  REQUIRE(run.status == RunStatus::kOk);
  REQUIRE(run.scores.size() == 5);
  size_t next = 0;
  for (const char* task : {"classes/words", "likeness/words"})
    for (const MetricResult& expected : scores(task, model)) {
      const ScoreRecord& found = run.scores[next++];
      INFO(task << " " << expected.metric);
      CHECK(found.task == task);
      CHECK(found.metric == expected.metric);
      CHECK(found.value == Approx(expected.value).margin(1e-5));
      CHECK(found.outcomes.size() == 24);
    }
}

}  // namespace

TEST_CASE("encoders are merged and scored in a sweep", "[sweep]") {
  const EncoderSweep sweep;
  const SweepResults results =
      sweep.run({{"name", "words"},
                 {"base", "base"},
                 {"expert_sets", {{{"name", "both"}, {"experts", {"expert-a", "expert-b"}}}}},
                 {"tasks", {"classes/words", "likeness/words"}},
                 {"trained_on", {{"expert-a", {"classes/words"}}}},
                 {"methods", {"average"}}});

  const EncoderModel a = opened(sweep, "expert-a"), b = opened(sweep, "expert-b");
  EncoderModel mean = a;
  for (auto& [name, tensor] : mean.weights) tensor = (tensor + b.weights.at(name)) / 2;
  const auto first = std::make_shared<EncoderModelPredictor>(a);
  const auto second = std::make_shared<EncoderModelPredictor>(b);
  check_row(row(results, "average"), EncoderModelPredictor(mean));
  check_row(row(results, "expert-a"), *first);
  check_row(row(results, "ensemble"), EncoderEnsemble({first, second}));
  const Json& diagnostics = row(results, "average").diagnostics.at("encoder");
  CHECK(diagnostics["inputs"] == 24 + 24 + 24);  // as pairs, and each text alone
  CHECK(diagnostics["max_length"] == 16);
  CHECK(row(results, "average").scores[0].outcomes != row(results, "expert-a").scores[0].outcomes);
}

TEST_CASE("an encoder computes in the type that is asked for", "[sweep]") {
  const EncoderSweep sweep;
  Cell cell = base_cell(sweep, "likeness/words");
  const RunRecord usual = run_cell(cell);
  cell.dtype = "bfloat16";
  const RunRecord coarse = run_cell(cell);

  REQUIRE((usual.status == RunStatus::kOk && coarse.status == RunStatus::kOk));
  CHECK(coarse.scores[1].value != usual.scores[1].value);
  CHECK(coarse.scores[1].value == Approx(usual.scores[1].value).margin(0.05));
}

TEST_CASE("a task for language models leaves an encoder's cell failed", "[sweep]") {
  const EncoderSweep sweep;

  const RunRecord record = run_cell(base_cell(sweep, "text/words"));

  CHECK(record.status == RunStatus::kFailed);
  CHECK_THAT(record.reason, Contains("asks for a language model") && Contains("bert, an encoder"));
}
