// Encoders learn to predict masked tokens.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "harness/core/error.h"
#include "harness/lm/encoder_predictor.h"
#include "harness/model/open.h"
#include "harness/task/task.h"
#include "harness/train/internal/training_data.h"
#include "harness/train/recipe.h"
#include "tests/catch.h"
#include "tests/train/text_home.h"

using namespace assay;
using assay::test::TextHome;
using Catch::Matchers::Contains;

namespace {

std::string masked_tokenizer() {
  return (home_folder() / "recipes/tokenizers/masked-bytes").string();
}

/// A BERT over bytes and the mask 257, and the task of texts "notes/a".
Json masked_recipe() {
  Json recipe = Json::parse(R"({"name": "masked",
    "architecture": {"model_type": "bert", "vocab_size": 258, "hidden_size": 16,
      "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2,
      "max_position_embeddings": 32, "architectures": ["BertForMaskedLM"]},
    "checkpoints": {"base": {"role": "base", "init": "random", "mixture": ["notes/a"],
      "loss": "masked", "steps": 150, "batch": 8, "learning_rate": 0.01}}})");
  recipe["tokenizer"] = masked_tokenizer();
  return recipe;
}

double pseudo_perplexity(const TextHome& home, const Checkpoint& checkpoint) {
  const Json suite = {
      {"summary", "masked notes"},
      {"kind", "pseudo_perplexity"},
      {"tasks",
       {{{"name", "a"},
         {"dataset", {{"files", {{"test", (home.folder() / "up.jsonl").string()}}}}},
         {"text", "{{text}}"}}}}};
  write_file(home.folder() / "masked.json", suite.dump());
  OpenModel opened = open_model(checkpoint.model_path(), {});
  const EncoderModelPredictor predictor(
      {std::dynamic_pointer_cast<const EncoderArchitecture>(opened.architecture),
       std::move(opened.weights), at::kCPU, Tokenizer::open(checkpoint.model_path().path)});
  return load_task("masked/a")->evaluate(predictor, Split::kTest).front().value;
}

}  // namespace

TEST_CASE("an encoder learns to predict masked tokens", "[train]") {
  const TextHome home;
  Json json = masked_recipe();
  json["checkpoints"]["start"] = json["checkpoints"]["base"];
  json["checkpoints"]["start"]["steps"] = 1;
  const Recipe recipe = Recipe::read(home.write_recipe(json));

  const auto base = ensure_checkpoint(recipe, "base", home.models());
  const auto start = ensure_checkpoint(recipe, "start", home.models());

  const auto losses = base->origin().at("losses").get<std::vector<double>>();
  CHECK(losses.back() < losses.front() / 2);
  // Of texts with a token each at one of 20 places it learns most; of a random start it is 258.
  const double learned = pseudo_perplexity(home, *base);
  CHECK(learned < 20);
  CHECK(learned < pseudo_perplexity(home, *start) / 5);
}

TEST_CASE("the included recipe of masked tokens trains its base and experts", "[train]") {
  const TextHome home;
  Json json = read_json(home_folder() / "recipes/registers-masked.json");
  json["tokenizer"] = masked_tokenizer();
  for (auto& [name, entry] : json["checkpoints"].items())
    entry.merge_patch(
        {{"mixture", {name == "base" ? "notes/b" : "notes/a"}}, {"steps", 2}, {"warmup", 0}});
  const Recipe recipe = Recipe::read(home.write_recipe(json));

  const auto expert = ensure_checkpoint(recipe, "manpages-de", home.models());

  CHECK(expert->origin().at("trained_on") == Json{"notes/a"});
  CHECK(expert->origin().at("pretrained_on") == Json{"notes/b"});
  const auto base = find_checkpoint(recipe, "base", home.models());
  REQUIRE(base);
  // A random start knows nothing of the 258 tokens.
  CHECK(base->origin().at("losses")[0].get<double>() == Approx(std::log(258)).epsilon(0.05));
  CHECK(expert->origin().at("losses")[0].get<double>() <
        base->origin().at("losses")[0].get<double>());
}

// scripts/peers/training.py --golden wrote them.
TEST_CASE("the first losses over masked tokens are PyTorch's", "[train]") {
  const TextHome home;
  const Json golden = read_json(fs::path(ASSAY_TESTS_FOLDER) / "golden/masked_training.json");
  std::string lines;
  for (const Json& text : golden.at("texts")) lines += Json{{"text", text}}.dump() + "\n";
  const std::string path = (home.folder() / "texts.jsonl").string();
  write_file(path, lines);
  // What is masked depends on the task's name.
  const Json suite = {
      {"summary", "texts"},
      {"kind", "perplexity"},
      {"tasks", {{{"name", "all"}, {"dataset", {{"files", {{"train", path}, {"test", path}}}}}}}}};
  write_file(home.folder() / "texts.json", suite.dump());
  Json json = masked_recipe();
  json["architecture"] = golden.at("architecture");
  json["checkpoints"]["base"].merge_patch(golden.at("settings"));
  json["checkpoints"]["base"]["mixture"] = {"texts/all"};
  const Recipe recipe = Recipe::read(home.write_recipe(json));

  const auto trained = ensure_checkpoint(recipe, "base", home.models());

  const auto expected = golden.at("losses").get<std::vector<double>>();
  const auto losses = trained->origin().at("losses").get<std::vector<double>>();
  REQUIRE(losses.size() == expected.size());
  for (size_t i = 0; i < losses.size(); ++i) {
    INFO("step " << i);
    CHECK(losses[i] == Approx(expected[i]).epsilon(1e-5));
  }
}

TEST_CASE("masked tokens are others in every step, and depend on nothing else", "[train]") {
  const TextHome home;
  const Recipe recipe = Recipe::read(home.write_recipe(masked_recipe()));
  const CheckpointRecipe& entry = recipe.at("base");
  const auto architecture = make_architecture(JsonReader(recipe.architecture(), "$"));
  const StateDict weights = architecture->initial_weights(0);
  const auto data = read_training_data(recipe, entry, Split::kTrain, 0, "base");
  REQUIRE(data->size() == 8);
  const auto targets = [&](std::vector<int64_t> places, std::optional<int64_t> step) {
    const at::Tensor found = data->rows(*architecture, weights, places, step).targets;
    return std::vector<int64_t>(found.const_data_ptr<int64_t>(),
                                found.const_data_ptr<int64_t>() + found.numel());
  };
  // 20 to 27 bytes: 3 of each of the four shorter texts, and 4 of the longer ones.
  std::vector<int64_t> all(8);
  std::iota(all.begin(), all.end(), 0);
  CHECK(data->row_count(all) == 4 * 3 + 4 * 4);
  for (const int64_t place : all)
    CHECK(static_cast<int64_t>(targets({place}, 3).size()) ==
          data->row_count(std::vector<int64_t>{place}));
  CHECK(targets({0}, 3) == targets({0}, 3));
  CHECK(targets({0}, std::nullopt) == targets({0}, std::nullopt));
  // A batch's parts have the tokens of the batch.
  std::vector<int64_t> joined = targets({0}, 3);
  for (const int64_t target : targets({7}, 3)) joined.push_back(target);
  CHECK(joined == targets({0, 7}, 3));
  bool differs = false;
  for (int64_t step = 0; step < 5; ++step)
    differs = differs || targets({0}, step) != targets({0}, 3);
  CHECK(differs);
}

TEST_CASE("the loss over masked tokens is refused where it has no meaning", "[train]") {
  const TextHome home;
  Json json = masked_recipe();
  json["architecture"]["architectures"] = {"BertForSequenceClassification"};
  CHECK_THROWS_WITH(Recipe::read(home.write_recipe(json)),
                    Contains("the loss 'masked'") && Contains("BertForMaskedLM"));
  json = masked_recipe();
  json["checkpoints"]["base"]["mixture"] = {"sums/of-two"};
  const Recipe questions = Recipe::read(home.write_recipe(json));
  CHECK_THROWS_WITH(ensure_checkpoint(questions, "base", home.models()),
                    Contains("'sums/of-two' has no texts"));
  json = masked_recipe();
  json["checkpoints"]["base"]["max_tokens"] = 2;
  const Recipe narrow = Recipe::read(home.write_recipe(json));
  CHECK_THROWS_WITH(ensure_checkpoint(narrow, "base", home.models()), Contains("special"));
}
