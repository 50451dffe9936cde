/// `assay new`: the projects that it writes build and work, against this build of Assay.
#include <algorithm>

#include "harness/core/files.h"
#include "harness/core/json.h"
#include "tests/catch.h"
#include "tests/cli/program.h"
#include "tests/core/environment_variable.h"
#include "tests/core/temporary_folder.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

std::string all_text(const fs::path& folder) {
  std::string text;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) text += entry.path().string() + "\n" + read_file(entry.path());
  return text;
}

}  // namespace

TEST_CASE("a new project has a source, a test, a sweep and ten lines of README", "[plugins]") {
  const std::string kind =
      GENERATE("method", "modifier", "router", "statistic", "task", "architecture");
  const TemporaryFolder folder;
  const fs::path project = folder.path() / "mine";

  const ProcessResult result = assay_program({"new", kind, "wise_mean", "-o", project.string()});

  INFO(result.output);
  REQUIRE(result.exit_code == 0);
  CHECK(result.output == (project / "README.md").string() + "\n");
  for (const char* file : {"CMakeLists.txt", "README.md", "catch.h", "wise_mean.cpp",
                           "test_wise_mean.cpp", "sweep.json"})
    CHECK(fs::exists(project / file));
  // Networks that recipes train are no language models, which routers are for.
  CHECK(fs::exists(project / "recipe.json") == (kind != "router"));
  CHECK(fs::exists(project / "make_models.cpp") == (kind == "router"));
  CHECK(fs::exists(project / "tasks/wise_mean.json") == (kind == "task" || kind == "router"));
  const std::string text = all_text(project);
  CHECK_THAT(text, Contains("\"wise_mean\"") && Contains("WiseMean") && !Contains("@NAME@") &&
                       !Contains("@TYPE@") && !Contains("@KIND@") && !Contains("@ENV@") &&
                       !Contains("@MODELS@"));
  const std::string readme = read_file(project / "README.md");
  CHECK(std::count(readme.begin(), readme.end(), '\n') == 10);
  const std::string cmake = read_file(project / "CMakeLists.txt");
  CHECK_THAT(cmake, Contains("assay_add_plugin(wise_mean wise_mean.cpp)"));
  CHECK((cmake.find("make_models") != std::string::npos) == (kind == "router"));

  const ProcessResult again = assay_program({"new", kind, "wise_mean", "-o", project.string()});
  CHECK(again.exit_code == 2);
  CHECK_THAT(again.output, Contains("is there already"));
}

TEST_CASE("a project's name becomes names of C++ and of CMake", "[plugins]") {
  const auto [name, reason] =
      GENERATE(table<std::string, std::string>({{"Wise", "beginning with a letter"},
                                                {"2wise", "beginning with a letter"},
                                                {"wi-se", "beginning with a letter"},
                                                {"test", "that the build uses itself"}}));
  const ProcessResult result = assay_program({"new", "method", name, "-o", "/nowhere/x"});
  CHECK(result.exit_code == 2);
  CHECK_THAT(result.output, Contains(reason) && Contains("'" + name + "'"));
}

namespace {

/// Runs the sweep of a new project with the plugin that the build made of its template.
void run_sweep_of_template(const std::string& kind) {
  const TemporaryFolder folder;
  const fs::path project = folder.path() / "project", plugins = ASSAY_TEST_PLUGINS;
  const std::string name = "template_" + kind;
  REQUIRE(assay_program({"new", kind, name, "-o", project.string()}).exit_code == 0);
  const EnvironmentVariable tasks("ASSAY_TASKS_DIR", (project / "tasks").string());
  const EnvironmentVariable models("ASSAY_MODELS_DIR", (folder.path() / "models").string());
  if (kind == "router")
    REQUIRE(
        run_process({(plugins / "template_router_models").string(), (project / "models").string()})
            .exit_code == 0);

  const ProcessResult result = assay_program(
      {"--plugin", (plugins / (name + ".so")).string(), "run", (project / "sweep.json").string(),
       "--db", (folder.path() / "r.sqlite").string(), "--workers", "1"});

  INFO(result.output);
  CHECK(result.exit_code == 0);
  CHECK_THAT(result.output, Contains("average") && Contains(" 0 failed"));
}

}  // namespace

TEST_CASE("the sweep of a new task and of a new router ends in a leaderboard", "[plugins]") {
  run_sweep_of_template(GENERATE("task", "router"));
}

TEST_CASE("the sweep of a new project that trains on digits ends in a leaderboard",
          "[plugins][train]") {
  run_sweep_of_template(GENERATE("method", "modifier", "statistic", "architecture"));
}
