#include "harness/core/files.h"
#include "harness/train/recipe.h"
#include "tests/catch.h"

using namespace assay;
using Names = std::vector<std::string>;

namespace {

const std::vector<Names> kReplicates = {{"mnist-012", "optdigits-345", "font-6789"},
                                        {"mnist-345", "optdigits-6789", "font-012"},
                                        {"mnist-6789", "optdigits-012", "font-345"}};

Names in_suite(const Names& cells) {
  Names tasks;
  for (const std::string& cell : cells) tasks.push_back("digits/" + cell);
  return tasks;
}

}  // namespace

TEST_CASE("every included recipe can be read", "[train]") {
  int recipes = 0;
  for (const auto& entry : fs::directory_iterator(home_folder() / "recipes")) {
    if (entry.path().extension() != ".json") continue;
    INFO(entry.path());
    // It starts from a model that is fetched for it alone.
    if (entry.path().stem() == "smol" && !fs::exists(data_folder() / "smollm2"))
      CHECK_THROWS_WITH(Recipe::read(entry.path()), Catch::Contains("assay data fetch smollm2"));
    else
      CHECK_NOTHROW(Recipe::read(entry.path()));
    ++recipes;
  }
  CHECK(recipes > 0);
}

TEST_CASE("the digits recipe holds out the stated tasks", "[train]") {
  const Recipe recipe = Recipe::read(home_folder() / "recipes" / "digits.json");

  for (size_t i = 0; i < kReplicates.size(); ++i) {
    INFO("replicate " << i);
    const std::string number = std::to_string(i);
    const Names held_in = in_suite(kReplicates[i]);
    CHECK(recipe.pretrained_on("base-strict-" + number) == held_in);
    CHECK(recipe.trained_on("multitask-" + number) == held_in);
    CHECK(recipe.trained_on("strict-multitask-" + number) == held_in);
    CHECK(recipe.pretrained_on("strict-multitask-" + number) == held_in);

    int64_t expert_steps = 0;
    for (const std::string& cell : kReplicates[i]) {
      const std::string expert = "expert-" + cell;
      CHECK(recipe.trained_on(expert) == in_suite({cell}));
      CHECK(recipe.at(expert).init == "base-weak");
      CHECK(recipe.trained_on("strict-" + expert) == in_suite({cell}));
      CHECK(recipe.pretrained_on("strict-" + expert) == held_in);
      expert_steps += recipe.at(expert).steps;
    }
    CHECK(recipe.at("multitask-" + number).steps == expert_steps);
    CHECK(recipe.at("strict-multitask-" + number).steps == expert_steps);
    CHECK(recipe.at("multitask-" + number + "-animals").steps ==
          expert_steps + recipe.at("expert-animals").steps);
  }
  CHECK(recipe.pretrained_on("base-weak").size() == 10);
}
