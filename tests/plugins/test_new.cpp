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
  const std::string kind = GENERATE("method", "statistic", "task", "architecture");
  const TemporaryFolder folder;
  const fs::path project = folder.path() / "mine";

  const ProcessResult result = assay_program({"new", kind, "wise_mean", "-o", project.string()});

  INFO(result.output);
  REQUIRE(result.exit_code == 0);
  CHECK(result.output == (project / "README.md").string() + "\n");
  for (const char* file : {"CMakeLists.txt", "README.md", "catch.h", "wise_mean.cpp",
                           "test_wise_mean.cpp", "sweep.json", "recipe.json"})
    CHECK(fs::exists(project / file));
  CHECK(fs::exists(project / "tasks/wise_mean.json") == (kind == "task"));
  const std::string text = all_text(project);
  CHECK_THAT(text, Contains("\"wise_mean\"") && Contains("WiseMean") && !Contains("@NAME@") &&
                       !Contains("@TYPE@") && !Contains("@KIND@") && !Contains("@ENV@"));
  const std::string readme = read_file(project / "README.md");
  CHECK(std::count(readme.begin(), readme.end(), '\n') == 10);
  for (const char* file : {"sweep.json", "recipe.json"})
    CHECK_NOTHROW(Json::parse(read_file(project / file)));

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

TEST_CASE("a new project's sweep ends in a leaderboard", "[plugins]") {
  const TemporaryFolder folder;
  const fs::path project = folder.path() / "project";
  REQUIRE(assay_program({"new", "task", "template_task", "-o", project.string()}).exit_code == 0);
  const EnvironmentVariable tasks("ASSAY_TASKS_DIR", (project / "tasks").string());
  const EnvironmentVariable models("ASSAY_MODELS_DIR", (folder.path() / "models").string());

  const ProcessResult result =
      assay_program({"--plugin", (fs::path(ASSAY_TEST_PLUGINS) / "template_task.so").string(),
                     "run", (project / "sweep.json").string(), "--db",
                     (folder.path() / "r.sqlite").string(), "--workers", "1"});

  INFO(result.output);
  CHECK(result.exit_code == 0);
  CHECK_THAT(result.output, Contains("task_arithmetic") && Contains("0 failed"));
}
