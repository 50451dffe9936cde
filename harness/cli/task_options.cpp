#include "harness/cli/task_options.h"

#include <cstdlib>

#include "harness/core/error.h"
#include "harness/core/files.h"

namespace assay::cli {

void add_tasks_dir(CLI::App& command) {
  command.add_option_function<std::string>(
      "--tasks-dir",
      [](const std::string& text) {
        if (!fs::is_directory(text)) user_error("--tasks-dir: '{}' is not a folder", text);
        ::setenv("ASSAY_TASKS_DIR", fs::absolute(text).c_str(), 1);
      },
      "folder with more suites (default: ASSAY_TASKS_DIR)");
}

}  // namespace assay::cli
