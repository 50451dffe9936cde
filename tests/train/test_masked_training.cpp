// Encoders learn to predict masked tokens.
#include <algorithm>
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

/// A BERT over bytes and the mask 257, and the task of texts "notes/a".
Json masked_recipe(const TextHome& home) {
  const fs::path folder = home.folder() / "tokenizer";
  fs::create_directories(folder);
  Json tokenizer = read_json(home_folder() / "recipes/tokenizers/bytes/tokenizer.json");
  Json token = tokenizer["added_tokens"][0];
  token["id"] = 257;
  token["content"] = "[MASK]";
  tokenizer["added_tokens"].push_back(token);
  tokenizer["post_processor"] = {
      {"type", "BertProcessing"}, {"cls", {"<|endoftext|>", 256}}, {"sep", {"<|endoftext|>", 256}}};
  write_file(folder / "tokenizer.json", tokenizer.dump());
  write_file(folder / "tokenizer_config.json",
             "{\"tokenizer_class\": \"PreTrainedTokenizerFast\"}");
  return Json::parse(R"({"name": "masked", "tokenizer": "../tokenizer",
    "architecture": {"model_type": "bert", "vocab_size": 258, "hidden_size": 16,
      "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2,
      "max_position_embeddings": 32, "architectures": ["BertForMaskedLM"]},
    "checkpoints": {"base": {"role": "base", "init": "random", "mixture": ["notes/a"],
      "loss": "masked", "steps": 150, "batch": 8, "learning_rate": 0.01}}})");
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
  Json json = masked_recipe(home);
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

TEST_CASE("masked tokens are others in every step, and depend on nothing else", "[train]") {
  const TextHome home;
  const Recipe recipe = Recipe::read(home.write_recipe(masked_recipe(home)));
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
  Json json = masked_recipe(home);
  json["architecture"]["architectures"] = {"BertForSequenceClassification"};
  CHECK_THROWS_WITH(Recipe::read(home.write_recipe(json)),
                    Contains("the loss 'masked'") && Contains("BertForMaskedLM"));
  json = masked_recipe(home);
  json["checkpoints"]["base"]["mixture"] = {"sums/of-two"};
  const Recipe questions = Recipe::read(home.write_recipe(json));
  CHECK_THROWS_WITH(ensure_checkpoint(questions, "base", home.models()),
                    Contains("'sums/of-two' has no texts"));
  json = masked_recipe(home);
  json["checkpoints"]["base"]["max_tokens"] = 2;
  const Recipe narrow = Recipe::read(home.write_recipe(json));
  CHECK_THROWS_WITH(ensure_checkpoint(narrow, "base", home.models()), Contains("special"));
}
