#include <fmt/format.h>

#include "harness/cli/commands.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "results/verify.h"

namespace assay::cli {
namespace {

void verify(const std::string& path) {
  const StoreCheck check = verify_store(path);
  for (const std::string& problem : check.problems) fmt::print("{}\n", problem);
  if (!check.problems.empty())
    data_error("results store '{}': {} problem(s) found", path, check.problems.size());
  fmt::print("{}: sound; schema version {}, {} sweep(s), {} runs, {} scores\n", path,
             check.schema_version, check.sweeps, check.runs, check.scores);
}

}  // namespace

void add_db(CLI::App& app, const Common&) {
  CLI::App* command = app.add_subcommand("db", "maintain a results database");
  command->require_subcommand(1);
  CLI::App* check = command->add_subcommand("verify", "check a results database for damage");
  check->footer(R"(Prints one line per problem and ends with exit code 3; changes nothing.
Example: assay db verify out/quickstart.sqlite)");
  auto path = std::make_shared<std::string>();
  check->add_option("DB", *path, "results database")->required();
  check->callback([path] { verify(*path); });
}

}  // namespace assay::cli
