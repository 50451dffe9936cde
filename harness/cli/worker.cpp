#include <sys/prctl.h>

#include <csignal>
#include <iostream>

#include "harness/cli/commands.h"
#include "harness/core/standard_streams.h"
#include "harness/sweep/executor.h"

namespace assay::cli {

void add_worker(CLI::App& app, const Common&) {
  CLI::App* command = app.add_subcommand("worker", "answer cells from standard input");
  command->group("");
  auto budget = std::make_shared<CacheBudget>();
  command->add_option("--cache-memory", budget->bytes, "bytes");
  command->add_flag_callback(
      "--no-task-vectors", [budget] { budget->task_vectors = false; },
      "keep none for later merges");
  command->callback([budget] {
    // A worker ends with the process that started it, which gets the same Ctrl-C.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    std::signal(SIGINT, SIG_IGN);
    std::signal(SIGTERM, SIG_IGN);
    ExecutionContext context(*budget);
    serve_cells(context, std::cin, std::cout);
    check_standard_input();
  });
}

}  // namespace assay::cli
