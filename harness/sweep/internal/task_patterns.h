/// The tasks of a sweep file: names, or objects that change what they name.
#pragma once

#include <filesystem>
#include <vector>

#include "harness/core/json.h"
#include "harness/task/task.h"

namespace assay {

/// UserError naming the place. Looks for no task and no model.
std::vector<TaskPattern> read_task_patterns(const JsonReader& list);

/// The same with the paths of the models that chat templates are taken from, as
/// find_outside_model() finds them. UserError when there is none.
std::vector<TaskPattern> with_found_chats(std::vector<TaskPattern> tasks,
                                          const std::filesystem::path& folder);

}  // namespace assay
