#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>
#include <cstdlib>

#include "harness/cli/commands.h"
#include "harness/cli/exit_codes.h"
#include "harness/core/error.h"
#include "harness/core/huge_pages.h"
#include "harness/core/interrupt.h"
#include "harness/core/log.h"
#include "harness/core/provenance.h"

namespace {

constexpr int kUnexpected = 1;

constexpr const char* kExamples = R"(Examples:
  assay run sweeps/quickstart.json --db out/quickstart.sqlite      compare methods
  assay report out/quickstart.sqlite -o out/quickstart.html        write the report
  assay list methods                                               what there is
  assay show method ties                                           what one does, needs and takes
  assay merge merge.json -o merged/                                one merge to a folder
Exit codes: 0 all well, 1 unexpected, 2 wrong input or options, 3 missing or damaged data,
4 the command ended and some of its work failed, 130 or 143 stopped by Ctrl-C or SIGTERM.)";

std::string unknown_command(const CLI::App& app, const std::string& name) {
  std::vector<std::string> known;
  for (const CLI::App* command :
       app.get_subcommands([](const CLI::App* sub) { return !sub->get_group().empty(); }))
    known.push_back(command->get_name());
  return assay::unknown_name("command", name, "the command line", known);
}

int run(int argc, char** argv) {
  using namespace assay;
  cli::Common common;
  common.command_line = fmt::format("{}", fmt::join(argv, argv + argc, " "));
  common.program = std::filesystem::read_symlink("/proc/self/exe").string();

  CLI::App app{"Assay: the benchmark harness for model merging", "assay"};
  app.footer(kExamples);
  app.require_subcommand(1);
  app.set_version_flag(
      "--version", fmt::format("assay {} (git {}, {}, LibTorch {})", ASSAY_VERSION, git_revision(),
                               compiler_name(), ASSAY_LIBTORCH_VERSION));
  app.add_flag_callback(
      "-q,--quiet", [] { set_log_level(LogLevel::kQuiet); }, "only warnings and results");
  int threads = 0;
  app.add_option("--threads", threads, "threads of this process (default: all cores)")
      ->check(CLI::Range(1, 4096));
  app.parse_complete_callback([&] {
    if (threads > 0) at::set_num_threads(threads);
  });
  app.fallthrough();
  cli::add_run(app, common);
  cli::add_report(app, common);
  cli::add_merge(app, common);
  cli::add_eval(app, common);
  cli::add_generate(app, common);
  cli::add_encode(app, common);
  cli::add_train(app, common);
  cli::add_data(app, common);
  cli::add_db(app, common);
  cli::add_tokenize(app, common);
  cli::add_list(app, common);
  cli::add_show(app, common);
  cli::add_worker(app, common);
  try {
    app.parse(argc, argv);
  } catch (const CLI::RequiredError& e) {
    // CLI11 says only that a subcommand is missing where one was misspelt.
    if (app.get_subcommands().empty())
      for (int i = 1; i < argc; ++i)
        if (argv[i][0] != '-') throw UserError(unknown_command(app, argv[i]));
    app.exit(e);
    return UserError::kExitCode;
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? EXIT_SUCCESS : UserError::kExitCode;
  }
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  assay::use_huge_pages();
  try {
    return run(argc, argv);
  } catch (const assay::Interrupted& e) {
    fmt::print(stderr, "assay: {}\n", e.what());
    return e.exit_code();
  } catch (const assay::cli::WorkFailed& e) {
    fmt::print(stderr, "assay: {}\n", e.what());
    return assay::cli::WorkFailed::kExitCode;
  } catch (const assay::UserError& e) {
    fmt::print(stderr, "assay: {}\n", e.what());
    return assay::UserError::kExitCode;
  } catch (const assay::SkipCell& e) {
    fmt::print(stderr, "assay: {}\n", e.what());
    return assay::UserError::kExitCode;
  } catch (const assay::DataError& e) {
    fmt::print(stderr, "assay: {}\n", e.what());
    return assay::DataError::kExitCode;
  } catch (const std::exception& e) {
    fmt::print(stderr, "assay: unexpected: {}\n", e.what());
    return kUnexpected;
  }
}
