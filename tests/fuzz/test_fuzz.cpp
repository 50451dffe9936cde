#include <algorithm>
#include <vector>

#include "harness/core/files.h"
#include "harness/core/rng.h"
#include "tests/catch.h"
#include "tests/fuzz/targets.h"

using namespace assay;

namespace {

/// A mutation that may break readers: bytes overwritten, removed, repeated or truncated.
std::string mutated(std::string input, Rng& rng) {
  constexpr std::string_view kBytes = "\"{}[],:-.0129eE \n\x80@\\u";
  const auto below = [&](size_t n) {
    return static_cast<size_t>(rng.below(static_cast<int64_t>(n)));
  };
  for (size_t change = 0; change <= below(4) && !input.empty(); ++change) {
    const size_t at = below(input.size());
    const size_t length = 1 + below(std::min<size_t>(input.size() - at, 16));
    switch (rng.below(5)) {
      case 0:
        input[at] = kBytes[below(kBytes.size())];
        break;
      case 1:
        input[at] = static_cast<char>(input[at] ^ (1 << rng.below(8)));
        break;
      case 2:
        input.erase(at, length);
        break;
      case 3:
        input.insert(at, input.substr(below(input.size()), length));
        break;
      default:
        input.resize(at);
    }
  }
  return input;
}

}  // namespace

// A short version of `make fuzz`: an input that crashes ends the program.
TEST_CASE("readers read or reject the fuzzing corpora and mutated copies of them", "[fuzz]") {
  constexpr int kCopies = 300;
  for (const fuzz::Target& target : fuzz::kTargets) {
    INFO(target.name);
    std::vector<fs::path> files;
    for (const auto& entry :
         fs::directory_iterator(fs::path(ASSAY_TESTS_FOLDER) / "fuzz/corpus" / target.name))
      files.push_back(entry.path());
    REQUIRE(!files.empty());
    std::sort(files.begin(), files.end());

    Rng rng(0, target.name);
    for (const fs::path& file : files) {
      const std::string input = read_file(file);
      CHECK_NOTHROW(target.run(input));
      for (int i = 0; i < kCopies; ++i) CHECK_NOTHROW(target.run(mutated(input, rng)));
    }
  }
}
