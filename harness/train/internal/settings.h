/// The settings of a checkpoint in a recipe.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "harness/core/json.h"
#include "harness/train/recipe.h"

namespace assay {

/// One of `known`, a `kind` for the message.
std::string one_of(const std::string& kind, const std::vector<std::string>& known,
                   const JsonReader& value);

/// Sets the fields that `settings` states: first those of the role's defaults, then the entry's
/// own. `folder`: of the recipe's file.
void read_settings(JsonReader& settings, const std::vector<std::string>& known_tasks,
                   const std::filesystem::path& folder, CheckpointRecipe& recipe);

/// Those that determine the weights and differ from their defaults, for the recipe's hash and for
/// assay.json.
Json changed_settings(const CheckpointRecipe& recipe);

}  // namespace assay
