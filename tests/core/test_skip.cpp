// What this program answers ctest with when test cases cannot run.
#include "tests/skip.h"

#include "harness/core/process.h"
#include "tests/catch.h"
#include "tests/core/environment_variable.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

ProcessResult run_tests(const std::string& which) {
  return run_process({std::filesystem::read_symlink("/proc/self/exe").string(), which});
}

}  // namespace

TEST_CASE("an example that passes", "[.example]") { CHECK(true); }
TEST_CASE("an example that is skipped", "[.example]") { testing::skip("it lacks something"); }
TEST_CASE("an example that fails before it is skipped", "[.example]") {
  CHECK(false);
  testing::skip("it lacks something");
}

TEST_CASE("a skipped test case is reported with its reason", "[core]") {
  const EnvironmentVariable optional("ASSAY_REQUIRE_DATA", "0");
  const ProcessResult result = run_tests("an example that is skipped");
  CHECK(result.exit_code == 77);
  CHECK_THAT(result.output, Contains("SKIPPED:") && Contains("it lacks something"));
}

TEST_CASE("a run that passes or fails elsewhere is no skipped one", "[core]") {
  const EnvironmentVariable optional("ASSAY_REQUIRE_DATA", "");
  CHECK(run_tests("an example that passes,an example that is skipped").exit_code == 0);
  const ProcessResult failed = run_tests("an example that fails before it is skipped");
  CHECK(failed.exit_code != 0);
  CHECK(failed.exit_code != 77);
}

TEST_CASE("ASSAY_REQUIRE_DATA makes a skip a failure", "[core]") {
  const EnvironmentVariable required("ASSAY_REQUIRE_DATA", "1");
  const ProcessResult result = run_tests("an example that is skipped");
  CHECK(result.exit_code == 1);
  CHECK_THAT(result.output, Contains("ASSAY_REQUIRE_DATA") && Contains("it lacks something"));
}

TEST_CASE("test data are named by their folder", "[core]") {
  const EnvironmentVariable here("ASSAY_TEST_DATA", ASSAY_TESTS_FOLDER);
  CHECK(testing::test_data("golden") == std::filesystem::path(ASSAY_TESTS_FOLDER) / "golden");
}
