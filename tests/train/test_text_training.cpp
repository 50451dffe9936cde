#include <ATen/ATen.h>

#include "harness/core/error.h"
#include "harness/lm/language_predictor.h"
#include "harness/model/open.h"
#include "harness/task/task.h"
#include "harness/train/internal/saved_state.h"
#include "harness/train/internal/trainer.h"
#include "harness/train/recipe.h"
#include "tests/catch.h"
#include "tests/train/text_home.h"

using namespace assay;
using assay::test::text_recipe;
using assay::test::TextHome;
using Catch::Matchers::Contains;

namespace {

double perplexity(const Checkpoint& checkpoint, const std::string& task) {
  const LanguageModel model = open_language_model(checkpoint.model_path(), {});
  return load_task(task)->evaluate(LanguagePredictor(model), Split::kTest).front().value;
}

Recipe changed_text_recipe(const TextHome& home, const std::string& patch) {
  Json json = text_recipe();
  json.merge_patch(Json::parse(patch));
  return Recipe::read(home.write_recipe(json));
}

std::vector<double> losses_of(const Checkpoint& checkpoint) {
  return checkpoint.origin().at("losses").get<std::vector<double>>();
}

/// The weights that training an entry gives, in memory.
StateDict train_in_memory(const Recipe& recipe, const std::string& name, const StateFile& saved) {
  const CheckpointRecipe& entry = recipe.at(name);
  const auto architecture = make_architecture(JsonReader(recipe.architecture(), "$"));
  const auto data = read_training_data(recipe, entry, Split::kTrain, 0, name);
  const auto weights = trained_weights(recipe, entry, *architecture,
                                       architecture->initial_weights(entry.seed), {}, name);
  run_training({*architecture, entry, *weights, *data, nullptr, saved, name});
  StateDict out;
  for (const auto& [tensor, value] : weights->model()) out[tensor] = value.detach();
  return out;
}

}  // namespace

TEST_CASE("a language model learns its texts, and an expert is better at its own", "[train]") {
  const TextHome home;
  const Recipe recipe = Recipe::read(home.write_recipe(text_recipe()));

  const auto base = ensure_checkpoint(recipe, "base", home.models());
  const auto expert = ensure_checkpoint(recipe, "expert-a", home.models());
  const auto multitask = ensure_checkpoint(recipe, "multitask", home.models());

  CHECK(perplexity(*expert, "notes/a") < perplexity(*base, "notes/a"));
  CHECK(perplexity(*expert, "notes/a") < perplexity(*expert, "notes/b"));
  CHECK(perplexity(*multitask, "notes/b") < perplexity(*expert, "notes/b"));
  CHECK(losses_of(*expert).size() == 30);
  CHECK(losses_of(*expert).back() < losses_of(*expert).front());
  CHECK(expert->origin().at("tokens").get<int64_t>() > 30 * 4 * 20);
  CHECK(expert->origin().at("trained_on") == Json{"notes/a"});
  // The folder has its tokenizer.
  CHECK(fs::exists(home.models() / "expert-a" / "tokenizer.json"));
  CHECK(Tokenizer::open(home.models() / "expert-a")->hash() == recipe.tokenizer()->hash());
}

TEST_CASE("parts of a batch give the gradients of the whole", "[train]") {
  const TextHome home;
  const auto whole =
      ensure_checkpoint(changed_text_recipe(home, R"({"defaults": {"base": {"batch": 8}}})"),
                        "base", home.folder() / "whole");
  const auto parts = ensure_checkpoint(
      changed_text_recipe(home, R"({"defaults": {"base": {"batch": 8, "accumulate": 3}}})"), "base",
      home.folder() / "parts");

  for (size_t i = 0; i < losses_of(*whole).size(); ++i)
    CHECK(losses_of(*parts)[i] == Approx(losses_of(*whole)[i]).epsilon(1e-4));
  CHECK(whole->content_hash() != parts->content_hash());  // other sums
}

TEST_CASE("a training goes on from its saved state and gives the bytes of an undisturbed one",
          "[train]") {
  const TextHome home;
  const Recipe recipe = changed_text_recipe(
      home, R"({"checkpoints": {"base": {"save_every": 8, "clip_norm": 1, "warmup": 3}}})");
  const StateFile saved(home.folder() / "base", "this recipe");

  const StateDict once = train_in_memory(recipe, "base", saved);
  const auto state = saved.read();  // of step 16 of 20
  REQUIRE(state);
  CHECK(state->step == 16);
  CHECK(state->losses.size() == 16);
  const StateDict resumed = train_in_memory(recipe, "base", saved);

  REQUIRE(once.size() == resumed.size());
  for (const auto& [name, tensor] : once) {
    CAPTURE(name);
    CHECK(at::equal(tensor, resumed.at(name)));
  }
  CHECK_FALSE(StateFile(home.folder() / "base", "another recipe").read());
  saved.remove();
  CHECK_FALSE(saved.read());
}

TEST_CASE("an adapter is written as PEFT has it, and applied it is what was trained", "[train]") {
  const TextHome home;
  const Recipe recipe = Recipe::read(home.write_recipe(text_recipe()));

  const auto base = ensure_checkpoint(recipe, "base", home.models());
  const auto adapted = ensure_checkpoint(recipe, "adapter-a", home.models());

  const fs::path folder = home.models() / "adapter-a";
  CHECK_FALSE(fs::exists(folder / "model.safetensors"));
  const Json config = read_json(folder / "adapter_config.json");
  CHECK(config.at("r") == 2);
  CHECK(config.at("lora_alpha") == 8);
  const auto factors = SafetensorsFile::open(folder / "adapter_model.safetensors");
  REQUIRE(factors->tensors().size() == 2 * 2 * 2);
  CHECK(factors->tensors()[0].name ==
        "base_model.model.model.layers.0.mlp.down_proj.lora_A.weight");
  CHECK(factors->tensors()[0].shape == std::vector<int64_t>{2, 24});

  const std::string changed = "model.layers.0.mlp.down_proj.weight";
  const at::Tensor product = at::matmul(factors->read(1), factors->read(0)) * (8.0 / 2.0);
  CHECK(at::allclose(adapted->read(changed), base->read(changed) + product, 1e-6, 1e-7));
  CHECK(product.abs().max().item<double>() > 1e-4);
  const std::string kept = "model.layers.0.self_attn.v_proj.weight";
  CHECK(at::equal(adapted->read(kept), base->read(kept)));
  CHECK(perplexity(*adapted, "notes/a") < perplexity(*base, "notes/a"));
  CHECK(adapted->origin().at("trained_on") == Json{"notes/a"});
  CHECK(find_checkpoint(recipe, "adapter-a", home.models()) != nullptr);
}

TEST_CASE("training stops early, at the best weights of the validation split", "[train]") {
  const TextHome home;
  const Recipe recipe = changed_text_recipe(home, R"({"checkpoints": {"expert-a": {
      "learning_rate": 1, "steps": 40, "early_stopping": {"every": 2, "patience": 2}}}})");

  const auto expert = ensure_checkpoint(recipe, "expert-a", home.models());

  const Json& origin = expert->origin();
  CHECK(origin.at("steps").get<int64_t>() < 40);
  CHECK(origin.at("best").at("step").get<int64_t>() + 4 == origin.at("steps").get<int64_t>());
}

TEST_CASE("answers alone, or all tokens, are learned", "[train]") {
  const TextHome home;
  const std::string one =
      R"({"checkpoints": {"expert-a": {"init": "random", "steps": 1, "warmup": 0,
      "mixture": ["sums/of-two"], "batch": 8)";
  const auto all =
      ensure_checkpoint(changed_text_recipe(home, one + "}}}"), "expert-a", home.folder() / "all");
  const auto answers =
      ensure_checkpoint(changed_text_recipe(home, one + R"(, "loss": "answers"}}})"), "expert-a",
                        home.folder() / "answers");
  // Untrained, both are near the logarithm of the vocabulary; they are means over other tokens.
  CHECK(losses_of(*all)[0] == Approx(std::log(257)).epsilon(0.05));
  CHECK(losses_of(*answers)[0] == Approx(std::log(257)).epsilon(0.05));
  CHECK(losses_of(*all)[0] != losses_of(*answers)[0]);
}

TEST_CASE("bf16 autocast keeps float32 weights and comes near float32's losses", "[train]") {
  const TextHome home;
  const auto exact =
      ensure_checkpoint(changed_text_recipe(home, "{}"), "base", home.folder() / "f32");
  const auto rounded = ensure_checkpoint(
      changed_text_recipe(home, R"({"defaults": {"base": {"precision": "bf16"}}})"), "base",
      home.folder() / "bf16");

  CHECK(rounded->tensors().front().dtype == at::kFloat);
  CHECK(rounded->content_hash() != exact->content_hash());
  for (size_t i = 0; i < losses_of(*exact).size(); ++i)
    CHECK(losses_of(*rounded)[i] == Approx(losses_of(*exact)[i]).epsilon(0.02));
}

TEST_CASE("gradient checkpointing gives the same losses and weights", "[train]") {
  const TextHome home;
  const auto kept =
      ensure_checkpoint(changed_text_recipe(home, "{}"), "adapter-a", home.folder() / "kept");
  const auto again = ensure_checkpoint(
      changed_text_recipe(home, R"({"defaults": {"base": {"gradient_checkpointing": true},
                                            "expert": {"gradient_checkpointing": true}}})"),
      "adapter-a", home.folder() / "again");

  for (size_t i = 0; i < losses_of(*kept).size(); ++i)
    CHECK(losses_of(*again)[i] == Approx(losses_of(*kept)[i]).epsilon(1e-4));
  const std::string embedding = "model.embed_tokens.weight";
  CHECK(at::allclose(again->read(embedding), kept->read(embedding), 1e-3, 1e-5));
}

TEST_CASE("recipes of text models are refused with what is wrong", "[train]") {
  const TextHome home;
  const auto refusal = [&](const std::string& patch) {
    try {
      const Recipe recipe = changed_text_recipe(home, patch);
      ensure_checkpoint(recipe, "expert-a", home.models());
    } catch (const std::exception& error) {
      return std::string(error.what());
    }
    return std::string("none");
  };
  CHECK_THAT(refusal(R"({"tokenizer": null})"), Contains("tokenizer"));
  CHECK_THAT(refusal(R"({"architecture": {"vocab_size": 256}})"),
             Contains("the tokenizer has 257 tokens, the architecture has 256"));
  CHECK_THAT(refusal(R"({"checkpoints": {"expert-a": {"warm_up": 3}}})"), Contains("warm_up"));
  CHECK_THAT(refusal(R"({"checkpoints": {"expert-a": {"warmup": 30}}})"),
             Contains("30 steps of warm-up, but 30 in all"));
  CHECK_THAT(refusal(R"({"checkpoints": {"expert-a": {"loss": "own_labels"}}})"),
             Contains("own_labels"));
  CHECK_THAT(refusal(R"({"checkpoints": {"expert-a": {"loss": "answers"}}})"),
             Contains("texts without answers"));
  CHECK_THAT(refusal(R"({"checkpoints": {"expert-a": {
      "adapter": {"rank": 2, "alpha": 2, "targets": ["query"]}}}})"),
             Contains("'query'"));
  CHECK_THAT(refusal(R"({"checkpoints": {"expert-a": {"init": "adapter-a"}}})"),
             Contains("'adapter-a' is an adapter"));
  CHECK_THAT(refusal(R"({"checkpoints": {"expert-a": {"learning_rate": 1e30, "warmup": 0,
      "clip_norm": null}}})"),
             Contains("the loss is"));
  CHECK_FALSE(fs::exists(home.models() / "expert-a"));
}
