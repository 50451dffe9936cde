/// A home folder with synthetic tasks and recipes: tests train in about a second and need no data.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

#include "harness/core/files.h"
#include "harness/core/json.h"

namespace assay::test {

/// During its lifetime ASSAY_HOME is a new folder with the tasks "blobs/a" (labels 0 and 1),
/// "blobs/b" (labels 2 and 3; 60 training examples each), "blobs/broken" (inputs that are not
/// numbers) and "blobs/unreadable" (a DataError when it is scored).
class BlobHome {
 public:
  BlobHome() {
    std::string name = (fs::temp_directory_path() / "assay-blobs-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    if (const char* home = std::getenv("ASSAY_HOME")) before_ = home;
    ::setenv("ASSAY_HOME", folder_.c_str(), 1);
    fs::create_directories(folder_ / "tasks");
    const Json tasks = {{"summary", "two blobs each"},
                        {"kind", "test_blobs"},
                        {"tasks",
                         {{{"name", "a"}, {"first", 0}},
                          {{"name", "b"}, {"first", 2}},
                          {{"name", "broken"}, {"first", 0}, {"broken", true}},
                          {{"name", "unreadable"}, {"first", 0}, {"unreadable", true}}}}};
    write_file(folder_ / "tasks" / "blobs.json", tasks.dump());
  }
  ~BlobHome() {
    before_ ? ::setenv("ASSAY_HOME", before_->c_str(), 1) : ::unsetenv("ASSAY_HOME");
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  BlobHome(const BlobHome&) = delete;
  BlobHome& operator=(const BlobHome&) = delete;

  const fs::path& folder() const { return folder_; }
  fs::path models() const { return folder_ / "models"; }

  fs::path write_recipe(const Json& recipe) const {
    write_file(folder_ / "recipe.json", recipe.dump());
    return folder_ / "recipe.json";
  }

 private:
  fs::path folder_;
  std::optional<std::string> before_;
};

/// base (a and b, few steps), expert-a, expert-b (from base) and multitask (from base).
inline Json blob_recipe() {
  return Json::parse(R"({
    "name": "blobs",
    "architecture": {"model_type": "mlp", "inputs": 4, "hidden": 8, "classes": 4},
    "defaults": {
      "base": {"init": "random", "steps": 5, "batch": 8, "learning_rate": 0.01},
      "expert": {"init": "base", "steps": 40, "batch": 8, "learning_rate": 0.02}
    },
    "checkpoints": {
      "base": {"role": "base", "mixture": [{"task": "blobs/a", "examples": 10}, "blobs/b"]},
      "expert-a": {"role": "expert", "mixture": ["blobs/a"]},
      "expert-b": {"role": "expert", "mixture": ["blobs/b"]},
      "multitask": {"role": "multitask", "init": "base", "mixture": ["blobs/a", "blobs/b"],
                    "steps": 80, "batch": 8, "learning_rate": 0.02}
    }
  })");
}

}  // namespace assay::test
