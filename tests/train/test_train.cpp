#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <thread>

#include "harness/checkpoint/mapped_file.h"
#include "harness/core/cost.h"
#include "harness/core/error.h"
#include "harness/model/predictor.h"
#include "harness/task/task.h"
#include "harness/train/recipe.h"
#include "tests/catch.h"
#include "tests/train/blobs.h"

using namespace assay;
using assay::test::blob_recipe;
using assay::test::BlobHome;
using Catch::Matchers::Contains;

namespace {

double accuracy(const Recipe& recipe, const Checkpoint& checkpoint, const std::string& task) {
  const std::shared_ptr<const Architecture> architecture =
      make_architecture(JsonReader(recipe.architecture(), "recipe"));
  const ModelPredictor predictor(architecture, load_weights(*architecture, checkpoint, at::kCPU),
                                 at::kCPU);
  return load_task(task)->evaluate(predictor, Split::kTest).front().value;
}

Recipe changed_recipe(const BlobHome& home, const std::string& patch) {
  Json json = blob_recipe();
  json.merge_patch(Json::parse(patch));
  return Recipe::read(home.write_recipe(json));
}

}  // namespace

TEST_CASE("training learns its tasks, and an expert is better at its own", "[train]") {
  const BlobHome home;
  const Recipe recipe = Recipe::read(home.write_recipe(blob_recipe()));

  const auto expert = ensure_checkpoint(recipe, "expert-a", home.models());
  const auto multitask = ensure_checkpoint(recipe, "multitask", home.models());

  CHECK(accuracy(recipe, *expert, "blobs/a") >= 0.95);
  CHECK(accuracy(recipe, *expert, "blobs/b") < 0.95);
  CHECK(accuracy(recipe, *multitask, "blobs/a") >= 0.95);
  CHECK(accuracy(recipe, *multitask, "blobs/b") >= 0.95);
  CHECK(fs::exists(home.models() / "base"));  // its init was trained first
}

TEST_CASE("the same recipe gives the same bytes on any number of threads", "[train]") {
  const BlobHome home;
  const Recipe recipe = Recipe::read(home.write_recipe(blob_recipe()));
  const int threads = at::get_num_threads();

  const auto once = ensure_checkpoint(recipe, "expert-a", home.folder() / "one");
  CHECK(at::get_num_threads() == threads);
  at::set_num_threads(3);
  const auto again = ensure_checkpoint(recipe, "expert-a", home.folder() / "two");
  CHECK(at::get_num_threads() == 3);
  at::set_num_threads(threads);
  const auto seeded =
      ensure_checkpoint(changed_recipe(home, R"({"checkpoints": {"expert-a": {"seed": 1}}})"),
                        "expert-a", home.folder() / "three");

  CHECK(once->content_hash() == again->content_hash());
  CHECK(once->content_hash() != seeded->content_hash());
}

TEST_CASE("an up-to-date checkpoint is reused, a stale one is replaced", "[train]") {
  const BlobHome home;
  const Recipe recipe = Recipe::read(home.write_recipe(blob_recipe()));
  const Recipe longer = changed_recipe(home, R"({"checkpoints": {"base": {"steps": 6}}})");
  const auto steps_of = [](const auto& work) {
    const int64_t before = counters::gradient_steps;
    work();
    return counters::gradient_steps - before;
  };

  CHECK(find_checkpoint(recipe, "expert-a", home.models()) == nullptr);
  CHECK(steps_of([&] { ensure_checkpoint(recipe, "expert-a", home.models()); }) == 5 + 40);
  CHECK(steps_of([&] { ensure_checkpoint(recipe, "expert-a", home.models()); }) == 0);
  CHECK(find_checkpoint(recipe, "expert-a", home.models()) != nullptr);
  CHECK(find_checkpoint(longer, "expert-a", home.models()) == nullptr);
  CHECK(steps_of([&] { ensure_checkpoint(longer, "expert-a", home.models()); }) == 6 + 40);
  CHECK(find_checkpoint(recipe, "base", home.models()) == nullptr);
}

TEST_CASE("concurrent requests for one checkpoint train it once", "[train]") {
  const BlobHome home;
  const Recipe recipe = Recipe::read(home.write_recipe(blob_recipe()));
  constexpr size_t kBoth = 2;
  std::shared_ptr<const Checkpoint> made[kBoth];
  std::string errors[kBoth];

  std::vector<std::thread> threads;
  for (size_t i = 0; i < kBoth; ++i)
    threads.emplace_back([&, i] {
      try {
        made[i] = ensure_checkpoint(recipe, "expert-a", home.models());
      } catch (const std::exception& error) {
        errors[i] = error.what();
      }
    });
  for (std::thread& thread : threads) thread.join();

  for (size_t i = 0; i < kBoth; ++i) {
    INFO(errors[i]);
    REQUIRE(made[i]);
  }
  CHECK(made[0]->content_hash() == made[1]->content_hash());
  CHECK_NOTHROW(check_mapped_files({made[0]->path()}));  // neither was replaced
  CHECK(std::distance(fs::directory_iterator(home.models()), {}) == 2);
}

TEST_CASE("a damaged checkpoint is trained again", "[train]") {
  const BlobHome home;
  const Recipe recipe = Recipe::read(home.write_recipe(blob_recipe()));
  const std::string hash = ensure_checkpoint(recipe, "base", home.models())->content_hash();
  fs::resize_file(home.models() / "base" / "model.safetensors", 100);

  CHECK(ensure_checkpoint(recipe, "base", home.models())->content_hash() == hash);
}

TEST_CASE("a checkpoint records how it was made", "[train]") {
  const BlobHome home;
  const Recipe recipe = Recipe::read(home.write_recipe(blob_recipe()));

  ensure_checkpoint(recipe, "base", home.models());
  const auto expert = ensure_checkpoint(recipe, "expert-a", home.models());

  CHECK(expert->config() == recipe.architecture());
  const Json& origin = expert->origin();
  CHECK(origin.at("assay") == 1);
  CHECK(origin.at("name") == "expert-a");
  CHECK(origin.at("role") == "expert");
  CHECK(origin.at("recipe_hash") == recipe.hash("expert-a"));
  CHECK(origin.at("init") == "base");
  CHECK(origin.at("trained_on") == Json{"blobs/a"});
  CHECK(origin.at("pretrained_on") == Json{"blobs/a", "blobs/b"});
  CHECK(origin.at("examples") == Json{{"blobs/a", 60}});
  CHECK(origin.at("steps") == 40);
  CHECK(origin.at("final_loss").get<double>() > 0);
  const Cost cost = origin.at("cost");
  CHECK(cost.gradient_steps == 40);
  CHECK(cost.examples == 40 * 8);
  CHECK(*cost.flops > 0);
  CHECK(origin.at("provenance").contains("libtorch"));
}

TEST_CASE("one step of AdamW moves every weight by the learning rate against its gradient",
          "[train]") {
  const BlobHome home;
  const Recipe recipe =
      changed_recipe(home, R"({"checkpoints": {"base": {"steps": 1, "mixture": ["blobs/a"]}}})");
  const StateDict before =
      make_architecture(JsonReader(recipe.architecture(), "recipe"))->initial_weights(0);

  const auto after = ensure_checkpoint(recipe, "base", home.models());

  // m / sqrt(v) is the sign of the gradient at the first step, and weight decay is 0. Among the
  // biases of the head, those of blob a's labels have gradients of p - 1 summed with p: any sign;
  // those of the others have gradient p > 0 and fall by exactly the learning rate.
  const at::Tensor moved = after->read("head.bias") - before.at("head.bias");
  CHECK(moved[2].item<double>() == Approx(-0.01).epsilon(1e-3));
  CHECK(moved[3].item<double>() == Approx(-0.01).epsilon(1e-3));
}

TEST_CASE("a loss over own labels leaves the other labels' scores alone", "[train]") {
  const BlobHome home;
  const Recipe recipe = changed_recipe(
      home, R"({"checkpoints": {"base": {"loss": "own_labels", "mixture": ["blobs/a"]}}})");
  const StateDict before =
      make_architecture(JsonReader(recipe.architecture(), "recipe"))->initial_weights(0);

  const auto after = ensure_checkpoint(recipe, "base", home.models());

  // The scores of labels 2 and 3, which blob a does not have, take no part.
  for (const char* name : {"head.bias", "head.weight"}) {
    const at::Tensor moved = after->read(name) - before.at(name);
    CHECK((moved.narrow(0, 2, 2) == 0).all().item<bool>());
    CHECK((moved.narrow(0, 0, 2) != 0).any().item<bool>());
  }
  CHECK(after->origin().at("loss") == "own_labels");
}

TEST_CASE("frozen tensors are not trained", "[train]") {
  const BlobHome home;
  const Recipe recipe =
      changed_recipe(home, R"({"checkpoints": {"expert-a": {"freeze": ["head.*"]}}})");

  const auto base = ensure_checkpoint(recipe, "base", home.models());
  const auto expert = ensure_checkpoint(recipe, "expert-a", home.models());

  for (const TensorInfo& info : base->tensors()) {
    CAPTURE(info.name);
    CHECK(at::equal(base->read(info.name), expert->read(info.name)) ==
          info.name.starts_with("head."));
  }
  const Recipe none =
      changed_recipe(home, R"({"checkpoints": {"expert-a": {"freeze": ["heads.weight"]}}})");
  CHECK_THROWS_WITH(ensure_checkpoint(none, "expert-a", home.models()),
                    Contains("'heads.weight'") && Contains("Did you mean 'head.weight'?"));
  const Recipe all = changed_recipe(home, R"({"checkpoints": {"expert-a": {"freeze": ["*"]}}})");
  CHECK_THROWS_WITH(ensure_checkpoint(all, "expert-a", home.models()),
                    Contains("no tensor to train"));
}

TEST_CASE("training moves BatchNorm's running moments, unless they are frozen", "[train]") {
  const BlobHome home;
  write_file(home.folder() / "tasks" / "images.json",
             R"({"summary": "blobs as images", "kind": "test_blobs",
                 "tasks": [{"name": "a", "first": 0, "side": 4}]})");
  const auto train = [&](const Json& freeze) {
    const Recipe recipe = Recipe::read(home.write_recipe({{"name", "images"},
                                                          {"architecture",
                                                           {{"model_type", "cifar_resnet"},
                                                            {"depth", 8},
                                                            {"width", 4},
                                                            {"channels", 4},
                                                            {"image_size", 4},
                                                            {"classes", 4}}},
                                                          {"checkpoints",
                                                           {{"base",
                                                             {{"role", "base"},
                                                              {"init", "random"},
                                                              {"mixture", {"images/a"}},
                                                              {"steps", 60},
                                                              {"batch", 16},
                                                              {"learning_rate", 0.01},
                                                              {"freeze", freeze}}}}}}));
    const auto checkpoint = ensure_checkpoint(recipe, "base", home.models());
    return std::make_pair(accuracy(recipe, *checkpoint, "images/a"), checkpoint);
  };

  const auto [score, trained] = train(Json::array());
  CHECK(score >= 0.95);
  CHECK(trained->read("bn1.running_mean").abs().min().item<float>() > 0);
  CHECK(trained->read("layer3.0.bn2.running_var").ne(1).all().item<bool>());

  const auto frozen = train(Json::array({"*.running_*"})).second;
  CHECK(at::equal(frozen->read("bn1.running_mean"), at::zeros({4})));
  CHECK(at::equal(frozen->read("layer3.0.bn2.running_var"), at::ones({16})));
  CHECK_FALSE(at::equal(frozen->read("bn1.weight"), at::ones({4})));
}

TEST_CASE("training that fails names the recipe and leaves no folder", "[train]") {
  const BlobHome home;
  const Recipe broken =
      changed_recipe(home, R"({"checkpoints": {"base": {"mixture": ["blobs/broken"]}}})");
  const Recipe greedy = changed_recipe(
      home, R"({"checkpoints": {"base": {"mixture": [{"task": "blobs/a", "examples": 61}]}}})");

  CHECK_THROWS_AS(ensure_checkpoint(broken, "base", home.models()), DataError);
  CHECK_THROWS_WITH(ensure_checkpoint(broken, "base", home.models()),
                    Contains("recipe 'blobs', checkpoint 'base': the loss is nan at step 1 of 5"));
  CHECK_THROWS_WITH(ensure_checkpoint(greedy, "base", home.models()),
                    Contains("61 examples of 'blobs/a' are requested, its train split has 60"));
  CHECK_FALSE(fs::exists(home.models() / "base"));
}

TEST_CASE("training replaces what a recipe made and no other folder", "[train]") {
  const BlobHome home;
  const Recipe recipe = Recipe::read(home.write_recipe(blob_recipe()));
  const fs::path place = home.models() / "expert-a";
  SECTION("files of others") { write_file(place / "thesis.txt", "years of work"); }
  SECTION("a merge") { write_file(place / "assay.json", R"({"assay": 1, "role": "merge"})"); }
  SECTION("a checkpoint with an additional file") {
    ensure_checkpoint(recipe, "expert-a", home.models());
    fs::remove_all(home.models() / "base");
    write_file(place / "notes.txt", "mine");
    fs::remove(place / "config.json");
    fs::resize_file(place / "model.safetensors", 10);
  }

  CHECK_THROWS_AS(ensure_checkpoint(recipe, "expert-a", home.models()), UserError);
  CHECK(fs::exists(place));
  CHECK_FALSE(fs::exists(home.models() / "base"));  // refused before anything was trained
}
