#include "harness/train/recipe.h"

#include "harness/core/error.h"
#include "tests/catch.h"
#include "tests/train/blobs.h"

using namespace assay;
using assay::test::blob_recipe;
using assay::test::BlobHome;
using Catch::Matchers::Contains;

TEST_CASE("an entry's settings override the defaults of its role", "[train]") {
  const BlobHome home;
  Json json = blob_recipe();
  json["checkpoints"]["expert-b"]["steps"] = 7;

  const Recipe recipe = Recipe::read(home.write_recipe(json));

  CHECK(recipe.name() == "blobs");
  CHECK(recipe.architecture().at("model_type") == "mlp");
  CHECK(recipe.checkpoints().size() == 4);
  const CheckpointRecipe& a = recipe.at("expert-a");
  CHECK(a.init == "base");
  CHECK(a.steps == 40);
  CHECK(a.batch == 8);
  CHECK(a.learning_rate == 0.02);
  CHECK(a.schedule == "cosine");
  CHECK(recipe.at("expert-b").steps == 7);
  const CheckpointRecipe& base = recipe.at("base");
  CHECK(base.init == "random");
  REQUIRE(base.mixture.size() == 2);
  CHECK(base.mixture[0].task == "blobs/a");
  CHECK(base.mixture[0].examples == 10);
  CHECK_FALSE(base.mixture[1].examples.has_value());
}

TEST_CASE("a recipe says what a checkpoint was trained and pre-trained on", "[train]") {
  const BlobHome home;
  const Recipe recipe = Recipe::read(home.write_recipe(blob_recipe()));
  using Names = std::vector<std::string>;

  CHECK(recipe.trained_on("base").empty());
  CHECK(recipe.pretrained_on("base") == Names{"blobs/a", "blobs/b"});
  CHECK(recipe.trained_on("expert-a") == Names{"blobs/a"});
  CHECK(recipe.pretrained_on("expert-a") == Names{"blobs/a", "blobs/b"});
  CHECK(recipe.trained_on("multitask") == Names{"blobs/a", "blobs/b"});
}

TEST_CASE("the recipe hash changes with whatever determines the weights", "[train]") {
  const BlobHome home;
  const auto hash = [&](const std::string& checkpoint, const std::string& patch) {
    Json json = blob_recipe();
    json.merge_patch(Json::parse(patch));
    return Recipe::read(home.write_recipe(json)).hash(checkpoint);
  };
  const std::string expert = hash("expert-a", "{}");

  CHECK(hash("expert-a", "{}") == expert);
  CHECK(hash("expert-b", "{}") != expert);
  CHECK(hash("expert-a", R"({"checkpoints": {"expert-a": {"steps": 40}}})") == expert);  // default
  CHECK(hash("expert-a", R"({"checkpoints": {"expert-a": {"steps": 41}}})") != expert);
  CHECK(hash("expert-a", R"({"checkpoints": {"expert-a": {"seed": 1}}})") != expert);
  CHECK(hash("expert-a", R"({"checkpoints": {"expert-a": {"mixture": ["blobs/b"]}}})") != expert);
  CHECK(hash("expert-a", R"({"checkpoints": {"expert-a": {"loss": "own_labels"}}})") != expert);
  CHECK(hash("expert-a", R"({"checkpoints": {"expert-a": {"freeze": ["head.*"]}}})") != expert);
  CHECK(hash("expert-a", R"({"architecture": {"hidden": 9}})") != expert);
  CHECK(hash("expert-a", R"({"checkpoints": {"base": {"steps": 6}}})") != expert);  // of its init
  CHECK(hash("expert-a", R"({"checkpoints": {"expert-b": {"steps": 6}}})") == expert);
}

TEST_CASE("an invalid recipe is refused with location and remedy", "[train]") {
  const BlobHome home;
  const auto reading = [&](const std::string& patch) {
    Json json = blob_recipe();
    json.merge_patch(Json::parse(patch));
    return Recipe::read(home.write_recipe(json));
  };
  const auto expert = [](const std::string& settings) {
    return R"({"checkpoints": {"expert-a": {)" + settings + "}}}";
  };

  CHECK_THROWS_AS(reading(R"({"nam": "x"})"), UserError);
  CHECK_THROWS_WITH(reading(R"({"nam": "x"})"), Contains("recipe.json") && Contains("'name'"));
  CHECK_THROWS_WITH(reading(expert(R"("step": 3)")),
                    Contains("$.checkpoints.expert-a") && Contains("Did you mean 'steps'?"));
  CHECK_THROWS_WITH(reading(expert(R"("steps": 0)")),
                    Contains("expert-a.steps: expected an integer of at least 1, found 0"));
  CHECK_THROWS_WITH(reading(expert(R"("learning_rate": "fast")")),
                    Contains("expert-a.learning_rate: expected a number"));
  CHECK_THROWS_WITH(reading(expert(R"("role": "expret")")), Contains("Did you mean 'expert'?"));
  CHECK_THROWS_WITH(reading(expert(R"("schedule": "cosin")")), Contains("Did you mean 'cosine'?"));
  CHECK_THROWS_WITH(reading(expert(R"("mixture": ["blobs/c"])")),
                    Contains("unknown task 'blobs/c'") && Contains("blobs/a"));
  CHECK_THROWS_WITH(reading(expert(R"("mixture": [])")), Contains("at least one task"));
  CHECK_THROWS_WITH(reading(expert(R"("mixture": ["blobs/a", "blobs/a"])")), Contains("twice"));
  CHECK_THROWS_WITH(reading(expert(R"("init": "bas")")),
                    Contains("expert-a.init") && Contains("Did you mean 'base'?"));
  CHECK_THROWS_WITH(reading(R"({"checkpoints": {"base": {"init": "expert-a"}}})"),
                    Contains("cyclic") && Contains("base <- expert-a <- base"));
  Json chain = blob_recipe();
  for (int i = 0; i < 2000; ++i) {
    Json& link = chain["checkpoints"][fmt::format("c{}", i)] = chain["checkpoints"]["expert-a"];
    link["init"] = i == 0 ? "base" : fmt::format("c{}", i - 1);
  }
  CHECK_THROWS_WITH(Recipe::read(home.write_recipe(chain)), Contains("more than 100 checkpoints"));
  CHECK_THROWS_WITH(reading(R"({"checkpoints": {"multitask": {"steps": null}}})"),
                    Contains("'steps' is given neither here nor "
                             "in the defaults of role 'multitask'"));
  CHECK_THROWS_WITH(reading(R"({"checkpoints": {"../x": {"role": "base"}}})"),
                    Contains("cannot be a checkpoint's name"));
  CHECK_THROWS_WITH(reading(R"({"architecture": {"model_type": "mpl"}})"),
                    Contains("Did you mean 'mlp'?"));
  CHECK_THROWS_WITH(Recipe::read(home.write_recipe(blob_recipe())).at("expert-c"),
                    Contains("unknown checkpoint 'expert-c' in recipe 'blobs'"));
}

TEST_CASE("a recipe's name must not be a path", "[train]") {
  const BlobHome home;
  const auto read = [&](const std::string& name) {
    Json json = blob_recipe();
    json["name"] = name;
    return Recipe::read(home.write_recipe(json));
  };
  for (const std::string& name :
       {std::string("../victim"), std::string("/tmp/x"), std::string(".."), std::string(".hidden"),
        std::string("a/b"), std::string(), std::string("a\nb"), std::string(201, 'x')})
    CHECK_THROWS_WITH(read(name), Contains("recipe's name"));
  CHECK(read("My study, 2").name() == "My study, 2");
}
