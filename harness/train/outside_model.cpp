#include "harness/train/outside_model.h"

#include <algorithm>

#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/task/dataset.h"

namespace assay {

bool is_outside_model(const std::string& name) { return name.find('/') != std::string::npos; }

ModelPath find_outside_model(const std::string& name, const std::filesystem::path& folder) {
  try {
    return find_model(name, folder);
  } catch (const UserError& error) {
    if (fs::exists(data_folder() / name)) return find_model((data_folder() / name).string());
    const std::vector<std::string> datasets = dataset_names();
    const std::string first = *fs::path(name).begin();
    const bool is_fetched = std::find(datasets.begin(), datasets.end(), first) != datasets.end();
    user_error("{}{}", error.what(),
               is_fetched
                   ? fmt::format(". 'assay data fetch {}' gets it", first)
                   : fmt::format(". Nor is it in the data folder '{}'", data_folder().string()));
  }
}

}  // namespace assay
