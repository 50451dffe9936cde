// Models that recipes do not make: what checkpoints are trained from, and what gives a recipe its
// architecture and tokenizer.
#include <ATen/ATen.h>

#include "harness/core/error.h"
#include "harness/model/open.h"
#include "harness/train/outside_model.h"
#include "harness/train/recipe.h"
#include "tests/catch.h"
#include "tests/train/text_home.h"

using namespace assay;
using assay::test::text_recipe;
using assay::test::TextHome;
using Catch::Matchers::Contains;

namespace {

/// text_recipe() without its base, which is the model of that path.
Json recipe_from(const std::string& model) {
  Json json = text_recipe();
  json["checkpoints"].erase("base");
  json["defaults"]["expert"]["init"] = model;
  json["checkpoints"]["multitask"]["init"] = model;
  return json;
}

std::string outside_error(const TextHome& home, const Json& json) {
  try {
    Recipe::read(home.write_recipe(json));
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

fs::path golden_gguf() { return fs::path(ASSAY_TESTS_FOLDER) / "golden/gguf/llama.gguf"; }

}  // namespace

TEST_CASE("training from a folder outside of the recipe gives the weights of training within",
          "[train]") {
  const TextHome home;
  const Recipe within = Recipe::read(home.write_recipe(text_recipe()));
  const auto base = ensure_checkpoint(within, "base", home.models());
  const auto expert = ensure_checkpoint(within, "expert-a", home.models());
  const auto adapted = ensure_checkpoint(within, "adapter-a", home.models());

  const Recipe outside = Recipe::read(home.write_recipe(recipe_from("../models/base")));
  const fs::path folder = home.folder() / "others";
  const auto again = ensure_checkpoint(outside, "expert-a", folder);
  CHECK(again->content_hash() == expert->content_hash());
  CHECK(again->origin().at("init") == "../models/base");
  CHECK(outside.trained_on("expert-a") == std::vector<std::string>{"notes/a"});
  const auto adapted_again = ensure_checkpoint(outside, "adapter-a", folder);
  CHECK(adapted_again->content_hash() == adapted->content_hash());
  CHECK(adapted_again->path() == base->path());
  CHECK(find_checkpoint(outside, "adapter-a", folder) != nullptr);

  // The tasks of a model that was fine-tuned before count as well; another model is another hash.
  ensure_checkpoint(within, "multitask", home.models());
  const Recipe further = Recipe::read(home.write_recipe(recipe_from("../models/multitask")));
  CHECK(further.trained_on("expert-a") == std::vector<std::string>{"notes/a", "notes/b"});
  CHECK(further.hash("expert-a") != outside.hash("expert-a"));
}

TEST_CASE("a GGUF file gives a recipe its architecture, its tokenizer and the first weights",
          "[train]") {
  const TextHome home;
  Json json = recipe_from(golden_gguf().string());
  json["architecture"] = golden_gguf().string();
  json.erase("tokenizer");
  json["defaults"]["expert"]["steps"] = 6;
  const Recipe recipe = Recipe::read(home.write_recipe(json));
  const auto model = Checkpoint::open(golden_gguf());
  CHECK(recipe.architecture() == architecture_of(*model)->config());
  CHECK(recipe.tokenizer()->hash() == Tokenizer::open(golden_gguf())->hash());

  const auto expert = ensure_checkpoint(recipe, "expert-a", home.models());

  // A step of AdamW moves a weight by about the learning rate, whatever it was before.
  const at::Tensor moved = expert->read("model.norm.weight") - model->read("model.norm.weight");
  CHECK(moved.abs().max().item<double>() > 1e-4);
  CHECK(moved.abs().max().item<double>() < 6 * 0.01 * 1.5);
  CHECK(Tokenizer::open(expert->path())->hash() == recipe.tokenizer()->hash());
  const auto adapted = ensure_checkpoint(recipe, "adapter-a", home.models());
  CHECK(adapted->path() == golden_gguf());
  CHECK_FALSE(at::equal(adapted->read("model.layers.0.mlp.down_proj.weight"),
                        model->read("model.layers.0.mlp.down_proj.weight")));
}

TEST_CASE("models outside of a recipe are refused with what is wrong", "[train]") {
  const TextHome home;
  const EnvironmentVariable data("ASSAY_DATA_DIR", (home.folder() / "data").string());
  CHECK_THAT(outside_error(home, recipe_from("../models/nowhere")),
             Contains("../models/nowhere") && Contains((home.folder() / "data").string()));
  CHECK_THAT(outside_error(home, recipe_from("smollm2/missing.gguf")),
             Contains("'assay data fetch smollm2' gets it"));
  // Without a '/' it is the name of a checkpoint.
  CHECK_THAT(outside_error(home, recipe_from("expert-b")), Contains("Did you mean 'expert-a'?"));

  Json json = recipe_from(golden_gguf().string());
  CHECK_THAT(outside_error(home, json),
             Contains("adapter-a.init: the architecture's") && Contains("takes the model's own"));
  json["architecture"] = golden_gguf().string();
  json.erase("tokenizer");
  CHECK(outside_error(home, json) == "");

  fs::create_directories(home.folder() / "data/x");
  fs::copy_file(golden_gguf(), home.folder() / "data/x/m.gguf");
  CHECK(find_outside_model("x/m.gguf", home.folder()).path == home.folder() / "data/x/m.gguf");
}

TEST_CASE("a recipe's mixture may change the prompts of a task", "[train]") {
  const TextHome home;
  const auto tokens_of = [&](const Json& part, const std::string& folder) {
    Json json = text_recipe();
    json["checkpoints"]["expert-a"] = {{"role", "expert"}, {"init", "random"}, {"warmup", 0},
                                       {"steps", 1},       {"batch", 8},       {"mixture", {part}}};
    const Recipe recipe = Recipe::read(home.write_recipe(json));
    return ensure_checkpoint(recipe, "expert-a", home.folder() / folder)->origin().at("tokens");
  };
  const auto plain = tokens_of("sums/of-two", "plain").get<int64_t>();
  const auto shots = tokens_of({{"task", "sums/of-two"}, {"few_shot", 1}}, "shots").get<int64_t>();
  CHECK(plain > 0);
  CHECK(shots > plain + 8 * 8);  // an example of eight bytes or more before each of eight prompts
}
