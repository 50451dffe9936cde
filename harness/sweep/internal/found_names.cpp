#include "harness/sweep/internal/found_names.h"

#include <algorithm>

#include "harness/core/paths.h"
#include "harness/task/text_data.h"

namespace assay {
namespace {

class FoundNames {
 public:
  void add(const std::string& what, const std::string& name, const fs::path& path) {
    std::error_code elsewhere;  // a pipe has no other name
    const fs::path real = fs::canonical(path, elsewhere);
    FoundName found{what, utf8_text(name),
                    utf8_text((elsewhere ? plain_path(path) : real).string())};
    const auto is_same = [&](const FoundName& known) {
      return known.what == found.what && known.name == found.name && known.path == found.path;
    };
    if (std::none_of(all_.begin(), all_.end(), is_same)) all_.push_back(std::move(found));
  }
  // Files beside a suite are not looked up again: the definition has their whole path.
  void add_data(const Json& definition) {
    const Json dataset = definition.value("dataset", Json());
    if (dataset.is_string() && is_dataset(dataset.get<std::string>()))
      add("data set", dataset.get<std::string>(), data_folder() / dataset.get<std::string>());
    for (const auto& [name, path] : text_files(dataset))
      if (fs::path(name).is_relative()) add("data", name, path);
  }
  std::vector<FoundName> all() const { return all_; }

 private:
  bool is_dataset(const std::string& name) const {
    return std::find(datasets_.begin(), datasets_.end(), name) != datasets_.end();
  }

  std::vector<std::string> datasets_ = dataset_names();
  std::vector<FoundName> all_;
};

}  // namespace

std::vector<FoundName> found_names(const ResolvedSweep& sweep) {
  FoundNames found;
  found.add("sweep file", sweep.file.given_name, sweep.file.path);
  if (sweep.file.recipe)
    found.add("recipe", sweep.file.json.at("recipe").get<std::string>(), *sweep.file.recipe);
  std::vector<std::string> tasks;
  for (const auto& task : sweep.tasks) tasks.push_back(task->name());
  for (const auto& [suite, path] : suite_files(tasks)) found.add("suite", suite, path);
  for (const auto& task : sweep.tasks) found.add_data(task->definition());
  return found.all();
}

}  // namespace assay
