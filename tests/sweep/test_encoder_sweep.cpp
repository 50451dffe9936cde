// Encoders merged and scored in a sweep.
#include <cmath>

#include "harness/checkpoint/safetensors.h"
#include "harness/checkpoint/writer.h"
#include "harness/core/error.h"
#include "harness/core/process.h"
#include "harness/sweep/run_sweep.h"
#include "tests/catch.h"
#include "tests/checkpoint/write_safetensors.h"
#include "tests/core/environment_variable.h"
#include "tests/lm/encoder_models.h"
#include "tests/skip.h"
#include "tests/sweep/run_alone.h"

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

  /// `summary`: of what was run now.
  SweepResults run(const Json& sweep, SweepSummary* summary = nullptr) const {
    write_file(path("sweep.json"), sweep.dump());
    const ResolvedSweep resolved =
        resolve_sweep(SweepFile::read(path("sweep.json")), {at::kCPU}, Missing::kLeave);
    Store store = Store::open(path("r.sqlite"));
    const SweepSummary now = run_sweep(resolved, plan_sweep(resolved), store,
                                       *in_process_executor(), current_environment("cpu", "test"));
    if (summary) *summary = now;
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
    write_checkpoint(path(name), weights,
                     {network->config(), Json(), "", {{"tokenizer.json", path("tokenizer.json")}}},
                     false);
  }

  TemporaryFolder folder_;
  EnvironmentVariable tasks_{"ASSAY_TASKS_DIR", (folder_.path() / "tasks").string()};
};

const RunRecord& test_row(const SweepResults& results, const std::string& name) {
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
  cell.experts = {model_ref(*Checkpoint::open(sweep.path("base")))};
  cell.tasks = {{task, load_task(task)->hash()}};
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

Json word_sweep() {
  return {{"name", "words"},
          {"base", "base"},
          {"expert_sets", {{{"name", "both"}, {"experts", {"expert-a", "expert-b"}}}}},
          {"tasks", {"classes/words", "likeness/words"}},
          {"trained_on", {{"expert-a", {"classes/words"}}}},
          {"methods", {"average"}}};
}

std::vector<double> values_of(const RunRecord& record) {
  INFO(record.reason);
  REQUIRE(record.status == RunStatus::kOk);
  std::vector<double> values;
  for (const ScoreRecord& score : record.scores) values.push_back(score.value);
  return values;
}

}  // namespace

TEST_CASE("encoders are merged and scored in a sweep", "[sweep]") {
  const EncoderSweep sweep;
  const SweepResults results = sweep.run(word_sweep());

  const EncoderModel a = opened(sweep, "expert-a"), b = opened(sweep, "expert-b");
  EncoderModel mean = a;
  for (auto& [name, tensor] : mean.weights) tensor = (tensor + b.weights.at(name)) / 2;
  const auto first = std::make_shared<EncoderModelPredictor>(a);
  const auto second = std::make_shared<EncoderModelPredictor>(b);
  check_row(test_row(results, "average"), EncoderModelPredictor(mean));
  check_row(test_row(results, "expert-a"), *first);
  check_row(test_row(results, "ensemble"), EncoderEnsemble({first, second}));
  const Json& diagnostics = test_row(results, "average").diagnostics.at("encoder");
  CHECK(diagnostics["inputs"] == 24 + 24 + 24);  // as pairs, and each text alone
  CHECK(diagnostics["max_length"] == 16);
  CHECK(test_row(results, "average").scores[0].outcomes !=
        test_row(results, "expert-a").scores[0].outcomes);
}

TEST_CASE("an encoder computes in the type that is asked for", "[sweep]") {
  const EncoderSweep sweep;
  Cell cell = base_cell(sweep, "likeness/words");
  const RunRecord usual = test::run_alone(cell);
  cell.dtype = at::kBFloat16;
  const RunRecord coarse = test::run_alone(cell);

  REQUIRE((usual.status == RunStatus::kOk && coarse.status == RunStatus::kOk));
  CHECK(coarse.scores[1].value != usual.scores[1].value);
  CHECK(coarse.scores[1].value == Approx(usual.scores[1].value).margin(0.05));
}

TEST_CASE("a task for language models leaves an encoder's cell failed", "[sweep]") {
  const EncoderSweep sweep;

  const RunRecord record = test::run_alone(base_cell(sweep, "text/words"));

  CHECK(record.status == RunStatus::kFailed);
  CHECK_THAT(record.reason, Contains("needs a language model") && Contains("bert, an encoder"));
}

TEST_CASE("a sweep run again computes what another tokenizer would answer", "[sweep]") {
  const EncoderSweep sweep;
  SweepSummary first, second, third;
  sweep.run(word_sweep(), &first);
  sweep.run(word_sweep(), &second);
  CHECK(second.ran == 0);
  // Longer texts are cut now. The base is read with it, alone and as the oracle of held-out tasks:
  // merges take their first expert's.
  write_file(sweep.path("base/tokenizer_config.json"), R"({"model_max_length": 4})");

  const SweepResults results = sweep.run(word_sweep(), &third);

  CHECK(third.ran == 2);
  CHECK(third.reused == first.ran - 2);
  CHECK(test_row(results, "base").diagnostics.at("encoder")["max_length"] == 4);
}

TEST_CASE("an encoder's answers are kept by model, precision and text", "[sweep]") {
  const EncoderSweep sweep;
  const EnvironmentVariable kept("ASSAY_RESPONSES_DIR", sweep.path("responses").string());
  for (const std::string task : {"classes/words", "likeness/words"}) {
    Cell cell = base_cell(sweep, task);
    const RunRecord first = test::run_alone(cell), again = test::run_alone(cell);
    cell.dtype = at::kBFloat16;
    const RunRecord coarse = test::run_alone(cell);
    cell = base_cell(sweep, task);
    cell.experts = {model_ref(*Checkpoint::open(sweep.path("expert-b")))};
    const RunRecord other = test::run_alone(cell);

    CHECK(values_of(again) == values_of(first));
    CHECK((task != "likeness/words" || values_of(other) != values_of(first)));
    const Json& use = first.diagnostics.at("encoder");
    CHECK(use["known_answers"] == 0);
    CHECK(again.diagnostics.at("encoder")["known_answers"] == 24);
    CHECK(again.diagnostics.at("encoder")["inputs"] == 0);
    CHECK(again.costs.at("evaluation").examples == 0);
    for (const RunRecord* asked : {&coarse, &other})
      CHECK(asked->diagnostics.at("encoder")["inputs"] == use["inputs"]);
  }
}

TEST_CASE("assay eval adds an adapter to an encoder", "[cli]") {
  const EncoderSweep sweep;
  const at::Tensor a = at::arange(16, at::kFloat).view({2, 8}).sin(),
                   b = at::arange(16, at::kFloat).view({8, 2}) / 10;
  const at::Tensor head = at::arange(24, at::kFloat).view({3, 8}).sin();
  const std::string query = "bert.encoder.layer.0.attention.self.query";
  fs::create_directories(sweep.path("lora"));
  write_file(sweep.path("lora/adapter_config.json"),
             R"({"peft_type": "LORA", "task_type": "SEQ_CLS", "r": 2, "lora_alpha": 6})");
  write_safetensors(sweep.path("lora/adapter_model.safetensors"),
                    {{"base_model.model." + query + ".lora_A.weight", a},
                     {"base_model.model." + query + ".lora_B.weight", b},
                     {"base_model.model.classifier.weight", head}});
  EncoderModel by_hand = opened(sweep, "base");
  at::Tensor& weight = by_hand.weights.at(query + ".weight");
  weight = weight + 6.0 / 2 * b.mm(a);
  by_hand.weights.at("classifier.weight") = head;

  const ProcessResult result = run_process(
      {ASSAY_PROGRAM, "--quiet", "eval", sweep.path("base").string(), "--json", "--adapter",
       sweep.path("lora").string(), "--tasks", "classes/words", "likeness/words"});

  INFO(result.output);
  REQUIRE(result.exit_code == 0);
  const Json scores = Json::parse(result.output)["scores"];
  REQUIRE(scores.size() == 5);
  size_t next = 0;
  const EncoderModelPredictor expected(by_hand), unadapted(opened(sweep, "base"));
  for (const char* task : {"classes/words", "likeness/words"})
    for (const MetricResult& metric : load_task(task)->evaluate(expected, Split::kTest)) {
      CHECK(scores[next]["metric"] == metric.metric);
      CHECK(scores[next++]["value"].get<double>() == Approx(metric.value).margin(1e-5));
    }
  const double plain = load_task("likeness/words")->evaluate(unadapted, Split::kTest)[1].value;
  CHECK(std::abs(scores[4]["value"].get<double>() - plain) > 1e-4);
}

TEST_CASE("a sweep warns of experts that would compute otherwise alone", "[cli]") {
  const EncoderSweep sweep;
  const fs::path file = sweep.path("expert-b/config.json");
  Json config = read_json(file);
  config["layer_norm_eps"] = 0.25;
  write_file(file, config.dump());
  write_file(sweep.path("sweep.json"), word_sweep().dump());

  const ProcessResult result = run_process({ASSAY_PROGRAM, "run", sweep.path("sweep.json").string(),
                                            "--dry-run", "--db", sweep.path("r.sqlite").string()});

  CHECK(result.exit_code == 0);
  CHECK_THAT(result.output, Contains("expert-b: config.json says 0.25 of 'layer_norm_eps'") &&
                                Contains("merges are scored as the latter computes"));
}

TEST_CASE("an encoder is refused on several devices before it is read", "[gpu]") {
  testing::skip_without_gpu();
  const EncoderSweep sweep;
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{"eval", sweep.path("base").string(), "--tasks", "likeness/words"},
        std::vector<std::string>{"run", sweep.path("sweep.json").string(), "--dry-run"}}) {
    write_file(sweep.path("sweep.json"), word_sweep().dump());
    std::vector<std::string> command{ASSAY_PROGRAM};
    command.insert(command.end(), more.begin(), more.end());
    command.insert(command.end(), {"--device", "cuda:0,cpu"});
    const ProcessResult result = run_process(command);
    CHECK(result.exit_code == 2);
    CHECK_THAT(result.output, Contains("bert needs one device"));
  }
}
