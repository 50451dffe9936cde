/// Test cases that a machine may be unable to run end here, and do not pass without having tested a
/// thing. Their tag is [optional] or [gpu]: ctest has an entry for each of them.
#pragma once

#include <filesystem>
#include <string>

namespace assay::testing {

/// Ends the running test case as skipped, or as failed with ASSAY_REQUIRE_DATA=1 in the
/// environment.
[[noreturn]] void skip(const std::string& reason);

/// Skips without a GPU, whatever the environment says: no download brings one.
void skip_without_gpu();

/// $ASSAY_TEST_DATA/name, where large files that do not belong to the project lie. Skips when it is
/// not there.
std::filesystem::path test_data(const std::string& name);

/// How often a test case was ended as skipped so far.
int count_skipped();

}  // namespace assay::testing
