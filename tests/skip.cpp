#include "tests/skip.h"

#include <ATen/Context.h>
#include <fmt/format.h>

#include <cstdlib>
#include <string_view>

#include "tests/catch.h"

namespace assay::testing {
namespace {

int skipped = 0;

[[noreturn]] void end_as_skipped(const std::string& reason) {
  ++skipped;
#ifdef SKIP
  SKIP(reason);
#else  // Catch2 version 2: what ends a test case after a failed REQUIRE
  WARN("SKIPPED: " << reason);
  throw Catch::TestFailureException();
#endif
}

}  // namespace

void skip(const std::string& reason) {
  const char* required = std::getenv("ASSAY_REQUIRE_DATA");
  if (required && *required != '\0' && std::string_view(required) != "0")
    FAIL("ASSAY_REQUIRE_DATA is set, and this test cannot run: " << reason);
  end_as_skipped(reason);
}

void skip_without_gpu() {
  if (!at::hasCUDA()) end_as_skipped("LibTorch finds no GPU");
}

std::filesystem::path test_data(const std::string& name) {
  const char* folder = std::getenv("ASSAY_TEST_DATA");
  if (!folder) skip(fmt::format("ASSAY_TEST_DATA, a folder with '{}' in it, is not set", name));
  const std::filesystem::path path = std::filesystem::path(folder) / name;
  if (!std::filesystem::exists(path)) skip(fmt::format("'{}' is not there", path.string()));
  return path;
}

int count_skipped() { return skipped; }

}  // namespace assay::testing
