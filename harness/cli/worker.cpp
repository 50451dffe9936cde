#include <iostream>

#include "harness/cli/commands.h"
#include "harness/core/standard_streams.h"
#include "harness/sweep/executor.h"

namespace assay::cli {

void add_worker(CLI::App& app, const Common&) {
  CLI::App* command = app.add_subcommand("worker", "answer cells from standard input");
  command->group("");
  command->callback([] {
    serve_cells(std::cin, std::cout);
    check_standard_input();
  });
}

}  // namespace assay::cli
