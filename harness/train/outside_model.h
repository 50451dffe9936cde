/// Models that a recipe does not make and that its checkpoints are trained from.
#pragma once

#include <filesystem>
#include <string>

#include "harness/checkpoint/model_path.h"

namespace assay {

/// Whether a recipe's name is that of such a model: it has a '/', as no checkpoint's name has.
bool is_outside_model(const std::string& name);

/// The model that find_model() finds beside the recipe, in `folder`, or else under data_folder(),
/// where fetched files are. UserError, naming the places searched and what fetches it, when there
/// is none.
ModelPath find_outside_model(const std::string& name, const std::filesystem::path& folder);

}  // namespace assay
