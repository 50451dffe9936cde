#include "harness/core/error.h"
#include "harness/task/task.h"
#include "tests/catch.h"
#include "tests/core/environment_variable.h"
#include "tests/core/temporary_folder.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

std::vector<std::string> names(const std::vector<std::string>& patterns) {
  std::vector<std::string> out;
  for (const auto& task : load_tasks(patterns)) out.push_back(task->name());
  return out;
}

}  // namespace

TEST_CASE("the suite digits has nine digit tasks and the animals, in file order", "[task]") {
  const std::vector<std::string> all = names({"digits/*"});
  REQUIRE(all.size() == 10);
  CHECK(all.front() == "digits/mnist-012");
  CHECK(all[3] == "digits/optdigits-012");
  CHECK(all.back() == "digits/animals");
  std::vector<std::string> found;
  for (const std::string& name : task_names())
    if (name.starts_with("digits/")) found.push_back(name);
  CHECK(found == all);
}

TEST_CASE("patterns select tasks without repeats, in file order", "[task]") {
  CHECK(names({"digits/font-*", "digits/*-345", "digits/mnist-012"}) ==
        std::vector<std::string>{"digits/mnist-012", "digits/mnist-345", "digits/optdigits-345",
                                 "digits/font-012", "digits/font-345", "digits/font-6789"});
  CHECK_THROWS_WITH(load_tasks({"digits/*", "letters/*"}), Contains("'letters/*'"));
}

TEST_CASE("a family stands for its tasks", "[task]") {
  const std::vector<std::string> science = names({"science"});
  REQUIRE(science.size() > 1);
  for (const auto& task : load_tasks({"science"})) CHECK(task->family() == "science");
  CHECK(names({"science", science.front()}) == science);
}

TEST_CASE("an unknown task is answered with the nearest name", "[task]") {
  CHECK_THROWS_WITH(load_task("digits/mnist-123"), Contains("unknown task 'digits/mnist-123'") &&
                                                       Contains("Did you mean 'digits/mnist-"));
  CHECK_THROWS_AS(load_task("mnist-012"), UserError);
}

TEST_CASE("tasks are listed and made without their data", "[task]") {
  const TemporaryFolder empty;
  const EnvironmentVariable data("ASSAY_DATA_DIR", empty.path());
  const EnvironmentVariable no_tools("PATH", "/nowhere");

  const auto task = load_task("digits/mnist-012");

  CHECK(task->definition().at("dataset") == "mnist5k");
  CHECK_THROWS_WITH(task->examples(Split::kTest), Contains("mnist_5k.csv.gz"));
}

TEST_CASE("suite files are read strictly", "[task]") {
  const TemporaryFolder home;
  const EnvironmentVariable there("ASSAY_HOME", home.path());
  const Json good = {{"summary", "s"},
                     {"kind", "image_classification"},
                     {"shared", {{"classes", 20}}},
                     {"tasks", {{{"name", "a"}, {"dataset", "mnist5k"}, {"labels", {1}}}}}};
  const auto list = [&](const Json& suite) {
    write_file(home.path() / "tasks" / "mine.json", suite.dump());
    return task_names();
  };
  CHECK(list(good) == std::vector<std::string>{"mine/a"});

  Json bad = good;
  bad["task"] = 1;
  CHECK_THROWS_WITH(list(bad), Contains("mine.json") && Contains("'task'") && Contains("'tasks'"));
  bad = good;
  bad["kind"] = "image_clasification";
  CHECK_THROWS_WITH(list(bad), Contains("Did you mean 'image_classification'"));
  bad = good;
  bad["tasks"].push_back(good["tasks"][0]);
  CHECK_THROWS_WITH(list(bad), Contains("$.tasks[1]") && Contains("same name"));
  bad = good;
  bad["tasks"][0].erase("name");
  CHECK_THROWS_WITH(list(bad), Contains("$.tasks[0]") && Contains("'name' is missing"));
}
