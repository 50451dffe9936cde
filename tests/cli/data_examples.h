/// Runs the examples of the help texts that fetch datasets or train on them.
#pragma once

#include <fmt/format.h>

#include <regex>
#include <sstream>
#include <string>

#include "harness/core/files.h"
#include "harness/core/json.h"
#include "harness/core/process.h"
#include "tests/catch.h"
#include "tests/cli/program.h"
#include "tests/core/temporary_folder.h"
#include "tests/skip.h"

namespace assay::test {

inline std::string quoted(const fs::path& path) { return fmt::format("'{}'", path.string()); }

/// Such examples run with the source tree's datasets, in a separate folder.
class DataExamples {
 public:
  DataExamples() {
    fs::create_directories(folder_.path() / "bin");
    fs::create_symlink(ASSAY_PROGRAM, folder_.path() / "bin/assay");
    cut_recipes();
  }

  static bool take(const std::string& example) {
    return std::regex_search(example, std::regex("^assay (data fetch|train) "));
  }
  /// Skips the test case when a data set is not there.
  void check(const std::string& example) const {
    const bool fetches = example.find("data fetch") != std::string::npos;
    const std::string missing = fetches ? copy_data_sets(example) : "";
    if (!missing.empty())
      testing::skip(fmt::format("{}: the data set {} was not fetched", example, missing));
    const ProcessResult result = run_process(
        {"/bin/sh", "-c",
         fmt::format(
             "cd {} && PATH=\"$PWD/bin:$PATH\" && export ASSAY_HOME={} ASSAY_DATA_DIR={} && {}",
             quoted(folder_.path()), quoted(home_),
             fetches ? "\"$PWD/data\"" : quoted(data_folder()), example)});
    INFO(example << "\n" << result.output);
    if (!fetches && result.exit_code == kDataError &&
        result.output.find("assay data fetch") != std::string::npos)
      testing::skip(fmt::format("{}: {}", example, result.output));
    CHECK(result.exit_code == 0);
  }

 private:
  /// The recipes, reduced to one training step per checkpoint.
  void cut_recipes() const {
    for (const auto& file : fs::directory_iterator(home_ / "recipes")) {
      if (file.path().extension() != ".json") continue;
      Json recipe = read_json(file.path());
      for (const char* part : {"defaults", "checkpoints"})
        for (Json& entry : recipe.at(part))
          if (entry.contains("steps")) entry["steps"] = 1;
      write_file(folder_.path() / "recipes" / file.path().filename(), recipe.dump());
    }
  }
  /// Checks the datasets of the example. Returns the name of one that is not fetched, else nothing.
  std::string copy_data_sets(const std::string& example) const {
    std::istringstream words(example.substr(example.find("fetch") + 5));
    for (std::string name; words >> name;) {
      if (!fs::exists(data_folder() / name)) return name;
      fs::create_directories(folder_.path() / "data");
      fs::copy(data_folder() / name, folder_.path() / "data" / name, fs::copy_options::recursive);
    }
    return "";
  }

  const fs::path home_ = fs::path(ASSAY_TESTS_FOLDER).parent_path();
  TemporaryFolder folder_;
};

}  // namespace assay::test
