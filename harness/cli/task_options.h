/// Options of the commands that load tasks.
#pragma once

#include <CLI/CLI.hpp>

namespace assay::cli {

/// --tasks-dir DIR: more suites; sets ASSAY_TASKS_DIR, also for worker processes.
void add_tasks_dir(CLI::App& command);

}  // namespace assay::cli
