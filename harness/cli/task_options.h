/// Options of the commands that load tasks.
#pragma once

#include <CLI/CLI.hpp>

namespace assay::cli {

/// --tasks-dir DIR: more suites, in place of the folder that ASSAY_TASKS_DIR names. Workers have
/// them too.
void add_tasks_dir(CLI::App& command);

}  // namespace assay::cli
