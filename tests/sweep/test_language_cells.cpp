#include "harness/checkpoint/writer.h"
#include "harness/core/error.h"
#include "harness/core/hash.h"
#include "harness/method/method.h"
#include "harness/model/architecture.h"
#include "harness/task/task.h"
#include "tests/catch.h"
#include "tests/core/environment_variable.h"
#include "tests/core/temporary_folder.h"
#include "tests/sweep/run_alone.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

const fs::path kGoldenFiles = fs::path(ASSAY_TESTS_FOLDER) / "golden";

/// A suite "texts" with three questions to choose answers to and two prompts.
class TextHome {
 public:
  TextHome() : variable_("ASSAY_TASKS_DIR", folder_.path().string()) {
    write_file(folder_.path() / "questions.jsonl", R"({"q": "one", "c": ["a", "bc"], "label": 0}
{"q": "two", "c": ["d", "ef"], "label": 1}
{"q": "thr\u00fc", "c": ["g", "hi"], "label": 1}
)");
    const std::string questions = (folder_.path() / "questions.jsonl").string();
    const Json data = {{"files", {{"test", questions}}}};
    const Json suite = {
        {"summary", "texts"},
        {"kind", "multiple_choice"},
        {"tasks",
         {{{"name", "first"}, {"dataset", data}, {"prompt", "Q: {{q}}"}, {"choices", "{{c}}"}},
          {{"name", "second"}, {"dataset", data}, {"prompt", "{{q}}?"}, {"choices", "{{c}}"}}}}};
    write_file(folder_.path() / "texts.json", suite.dump());
  }

  /// A tiny random language model without a tokenizer of its own: bytes are its tokens.
  ModelRef model(uint64_t seed, const std::string& tokenizer = "", int vocabulary = 256) const {
    Json config = Json::parse(architectures().at("llama", "a test").example);
    config["model_type"] = "llama";
    config["vocab_size"] = vocabulary;
    const auto architecture = make_architecture(JsonReader(config, "$"));
    const fs::path path = folder_.path() / fmt::format("model{}", seed);
    write_checkpoint(path, architecture->initial_weights(seed), {config, {}, {}, {}}, false);
    if (!tokenizer.empty())
      fs::copy_file(kGoldenFiles / "tokenizer" / tokenizer / "tokenizer.json",
                    path / "tokenizer.json");
    return ref(path);
  }
  static ModelRef ref(const fs::path& path) { return model_ref(*Checkpoint::open(path)); }

  static RunRecord run(const std::string& kind, const std::vector<ModelRef>& models) {
    return test::run_alone(cell(kind, models));
  }
  static Cell cell(const std::string& kind, const std::vector<ModelRef>& models) {
    Cell cell;
    cell.kind = cell_kind_from_name(kind);
    cell.record_kind = run_kind_from_name(kind);
    if (kind == "merge") {
      cell.method = "average";
      cell.parameters = make_method("average", JsonReader(Json::object(), "$"))->parameters();
    }
    cell.experts = models;
    for (const char* name : {"texts/first", "texts/second"})
      cell.tasks.push_back({name, load_task(name)->hash()});
    return cell;
  }

 private:
  TemporaryFolder folder_;
  EnvironmentVariable variable_;
};

}  // namespace

TEST_CASE("an ensemble of language models is scored, at the cost of all members", "[sweep]") {
  const TextHome home;
  const ModelRef one = home.model(1), two = home.model(2);
  const RunRecord alone = TextHome::run("model", {one});
  const RunRecord both = TextHome::run("ensemble", {one, two});
  INFO(alone.reason << both.reason);
  REQUIRE(alone.status == RunStatus::kOk);
  REQUIRE(both.status == RunStatus::kOk);
  REQUIRE(both.scores.size() == alone.scores.size());
  CHECK(both.scores[0].task == "texts/first");
  CHECK(both.scores[0].outcomes.size() == 3);
  CHECK(both.costs.at("evaluation").examples == 2 * *alone.costs.at("evaluation").examples);
  CHECK(*both.costs.at("evaluation").flops > *alone.costs.at("evaluation").flops);
  CHECK(both.diagnostics.at("language").at("requests") == 12);
}

TEST_CASE("cells keep what changes their tasks, and score them so", "[sweep]") {
  const TextHome home;
  Cell cell = TextHome::cell("model", {home.model(1)});
  const std::string key = cell.key();
  const TaskChanges changes{.limit = 2};
  cell.tasks.pop_back();
  cell.tasks[0] = {"texts/first", load_task("texts/first", "a test", changes)->hash(), {}, changes};
  CHECK(cell.key() != key);
  const Cell sent = Json(cell).get<Cell>();
  CHECK(sent.key() == cell.key());
  CHECK(sent.tasks[0].changes == changes);
  const RunRecord record = test::run_alone(sent);
  INFO(record.reason);
  REQUIRE(record.status == RunStatus::kOk);
  CHECK(record.scores.at(0).outcomes.size() == 2);
}

TEST_CASE("language models whose tokenizers differ are no ensemble, with a reason", "[sweep]") {
  const TextHome home;
  const RunRecord record = TextHome::run("ensemble", {home.model(1), home.model(2, "byte_level")});
  CHECK(record.status == RunStatus::kSkipped);
  CHECK_THAT(record.reason, Contains("different tokenizers"));
}

TEST_CASE("encoder-decoders answer text tasks, alone, together and merged", "[sweep]") {
  const TextHome home;
  const ModelRef t5 = TextHome::ref(kGoldenFiles / "seq2seq");
  for (const std::string kind : {"model", "ensemble", "merge"}) {
    const RunRecord record = TextHome::run(kind, {t5});
    INFO(record.reason);
    CHECK(record.status == RunStatus::kOk);
    CHECK(record.scores.size() >= 2);
  }
}

TEST_CASE("a cell's parameters may be tables by layer group", "[sweep]") {
  const TextHome home;
  const std::vector<ModelRef> models{home.model(1), home.model(2)};
  const auto merged = [&](const Json& weights) {
    Cell cell = TextHome::cell("merge", models);
    cell.method = "linear";
    const Json given = {{"weights", weights}};
    cell.parameters = MethodConfiguration::read("linear", JsonReader(given, "$")).parameters();
    return cell;
  };
  const Cell table = merged({{"middle", {1, 0}}, {"*", {0, 1}}});
  CHECK(table.key() != merged({0, 1}).key());
  CHECK(Json(table).get<Cell>().key() == table.key());
  CHECK_THAT(table.describe(), Contains("linear weights={\"*\":[0.0,1.0],\"middle\":[1.0,0.0]}"));

  const RunRecord record = test::run_alone(table), second = test::run_alone(merged({0, 1}));
  INFO(record.reason);
  REQUIRE(record.status == RunStatus::kOk);
  CHECK(record.scores.at(0).outcomes.size() == 3);
  REQUIRE(second.status == RunStatus::kOk);

  const RunRecord unfit = test::run_alone(merged({{"h.*", {1, 0}}}));
  CHECK(unfit.status == RunStatus::kFailed);
  CHECK_THAT(unfit.reason, Contains("no tensor's name matches the layer group 'h.*'"));
}

TEST_CASE("a cell's key covers how its model computes, besides its weights", "[sweep]") {
  const TextHome home;
  const ModelRef one = home.model(1), two = home.model(2);
  const auto changed = [](const ModelRef& model, const Json& change) {
    const fs::path file = fs::path(model.path) / "config.json";
    const std::string before = read_file(file);
    Json config = Json::parse(before);
    config.update(change);
    write_file(file, config.dump());
    ModelRef found = TextHome::ref(model.path);
    write_file(file, before);
    return found;
  };
  const ModelRef one_turned = changed(one, {{"rope_theta", 500}});
  const ModelRef two_turned = changed(two, {{"rope_theta", 500}});
  CHECK(one_turned.hash == one.hash);
  CHECK(TextHome::ref(one.path).computation == one.computation);

  const auto key = [](const std::string& kind, const std::vector<ModelRef>& models) {
    return TextHome::cell(kind, models).key();
  };
  CHECK(key("model", {one_turned}) != key("model", {one}));
  CHECK(key("ensemble", {one, two_turned}) != key("ensemble", {one, two}));
  // A merge computes as its first expert does; what the others say of it has no part in it.
  CHECK(key("merge", {one_turned, two}) != key("merge", {one, two}));
  CHECK(key("merge", {one, two_turned}) == key("merge", {one, two}));
  CHECK(TextHome::cell("merge", {one_turned, two}).model_key() !=
        TextHome::cell("merge", {one, two}).model_key());
  const Cell cell = TextHome::cell("model", {one});
  CHECK(Json(cell).get<Cell>().key() == cell.key());

  const ModelRef retokenized = home.model(3, "byte_level");
  fs::remove(fs::path(retokenized.path) / "tokenizer.json");
  CHECK(TextHome::ref(retokenized.path).computation != retokenized.computation);
  const RunRecord stale = TextHome::run("model", {retokenized});
  CHECK(stale.status == RunStatus::kFailed);
  CHECK_THAT(stale.reason, Contains("the tokenizer's files changed since the sweep was planned"));
}

TEST_CASE("merges of models with tensors that no method sees have keys of their own", "[sweep]") {
  const TextHome home;
  const ModelRef one = home.model(1), two = home.model(2);
  CHECK_FALSE(one.settled);
  ModelRef apart = two;
  apart.settled = true;
  const auto key = [](const std::string& kind, const std::vector<ModelRef>& models) {
    return TextHome::cell(kind, models).key();
  };

  CHECK(key("merge", {one, apart}) != key("merge", {one, two}));
  CHECK(TextHome::cell("merge", {one, apart}).model_key() !=
        TextHome::cell("merge", {one, two}).model_key());
  // Scores of other merges stay usable: this is what their keys have always been.
  const Cell plain = TextHome::cell("merge", {one, two});
  Hasher hasher;
  hasher.text(ASSAY_LIBTORCH_VERSION).text("merge").text("cpu").text("average");
  hasher.number(static_cast<uint64_t>(methods().at("average", "a test").info.version));
  hasher.text(canonical(plain.parameters)).number(0).text("").number(2);
  hasher.text(one.hash).text(two.hash).text(one.computation);
  CHECK(plain.model_key() == hasher.hex());
  CHECK(key("model", {apart}) == key("model", {two}));
  CHECK(key("ensemble", {one, apart}) == key("ensemble", {one, two}));
  Cell cell = TextHome::cell("merge", {one, two});
  cell.base = apart;
  CHECK(Json(cell).get<Cell>().key() == cell.key());
  const std::string with = cell.key();
  cell.base.settled = false;
  CHECK(cell.key() != with);
}

TEST_CASE("a folder without config.json has weights and no scores", "[sweep]") {
  const TextHome home;
  const ModelRef model = home.model(1);
  fs::remove(fs::path(model.path) / "config.json");
  const ModelRef bare = TextHome::ref(model.path);
  CHECK(bare.computation.empty());
  CHECK_THAT(TextHome::run("model", {bare}).reason, Contains("there is no config.json"));
}

TEST_CASE("a reason that quotes a broken character can be sent and stored", "[sweep]") {
  const TextHome home;
  const RunRecord record = TextHome::run("model", {home.model(1, "", 150)});
  CHECK(record.status == RunStatus::kFailed);
  CHECK_THAT(record.reason, Contains("gives the id 195 ('\uFFFD')"));  // half of an umlaut
  CHECK_NOTHROW(result_to_json(record).dump());
}
