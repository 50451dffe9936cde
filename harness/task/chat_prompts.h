/// Prompts as chats: the command line's choice for all tasks of a process and its workers.
#pragma once

#include <filesystem>
#include <optional>

#include "harness/core/json.h"

namespace assay {

/// Prompts of all tasks that are made from now on are written with this model's chat template: sets
/// ASSAY_CHAT_TEMPLATE. DataError when the model has none.
void use_chat_template(const std::filesystem::path& model);

/// ChatTemplate::json() of the model that ASSAY_CHAT_TEMPLATE names; absent when it names none.
std::optional<Json> chat_of_environment();

}  // namespace assay
