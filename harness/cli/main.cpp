#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <new>

#include "harness/checkpoint/mapped_file.h"
#include "harness/cli/commands.h"
#include "harness/cli/exit_codes.h"
#include "harness/cli/parse.h"
#include "harness/core/error.h"
#include "harness/core/huge_pages.h"
#include "harness/core/interrupt.h"
#include "harness/core/json.h"
#include "harness/core/log.h"
#include "harness/core/provenance.h"
#include "harness/core/standard_streams.h"
#include "harness/plugin/plugins.h"

namespace {

constexpr int kUnexpected = 1;

/// Runs `work`, prints the message of an exception, and returns the exit code.
int guarded(const std::function<int()>& work) {
  const auto say = [](const std::string& text, int exit_code) {
    assay::write_standard_error("assay: " + text + "\n");
    return exit_code;
  };
  try {
    return work();
  } catch (const assay::Interrupted& e) {
    return say(e.what(), e.exit_code());
  } catch (const assay::cli::WorkFailed& e) {
    return say(e.what(), assay::cli::WorkFailed::kExitCode);
  } catch (const assay::cli::NotReady& e) {
    return say(e.what(), assay::cli::NotReady::kExitCode);
  } catch (const assay::UserError& e) {
    return say(e.what(), assay::UserError::kExitCode);
  } catch (const assay::SkipCell& e) {
    return say(e.what(), assay::UserError::kExitCode);
  } catch (const assay::DataError& e) {
    return say(e.what(), assay::DataError::kExitCode);
  } catch (const std::filesystem::filesystem_error& e) {  // a path that cannot be accessed
    return say(fmt::format("'{}': {}", e.path1().string(), e.code().message()),
               assay::DataError::kExitCode);
  } catch (const assay::Json::exception& e) {  // a value of another type than was expected
    return say(fmt::format("JSON that was read is not as expected: {}", e.what()),
               assay::DataError::kExitCode);
  } catch (const std::bad_alloc&) {
    return say("not enough memory", assay::DataError::kExitCode);
  } catch (const std::exception& e) {
    if (std::ferror(stdout) != 0) return assay::DataError::kExitCode;  // reported below
    return say(fmt::format("unexpected: {}", e.what()), kUnexpected);
  } catch (...) {  // by a plugin: Assay throws nothing else
    return say("unexpected: something was thrown that is no std::exception", kUnexpected);
  }
}

constexpr const char* kExamples = R"(Examples:
  assay run sweeps/quickstart.json --db out/quickstart.sqlite      compare methods
  assay report out/quickstart.sqlite -o out/quickstart.html        write the report
  assay list methods                                               list the methods
  assay show method ties                                           one method: needs, parameters
  assay merge merge.json -o merged/                                one merge to a folder
Exit codes: 0 success, 1 unexpected, 2 wrong input or options, 3 missing or damaged data or a full
disk, 4 the command finished but some of its work failed, 5 'doctor' found that something needed is
missing, 130 or 143 stopped by Ctrl-C or SIGTERM.)";

int run(int argc, char** argv) {
  using namespace assay;
  cli::Common common;
  common.command_line = fmt::format("{}", fmt::join(argv, argv + argc, " "));
  common.program = std::filesystem::read_symlink("/proc/self/exe").string();

  CLI::App app{"Assay: the benchmark harness for model merging", "assay"};
  app.footer(kExamples);
  app.require_subcommand(1);
  const std::string version = fmt::format("assay {} (git {}, {}, LibTorch {})", ASSAY_VERSION,
                                          git_revision(), compiler_name(), ASSAY_LIBTORCH_VERSION);
  app.set_version_flag("--version", version);
  app.add_flag_callback(
      "-q,--quiet", [] { set_log_level(LogLevel::kQuiet); }, "only warnings and results");
  app.add_flag_callback(
      "-v,--verbose", [] { set_log_level(LogLevel::kDebug); },
      "one line per step, and more details");
  int threads = 0;
  app.add_option("--threads", threads, "threads of this process (default: all cores)")
      ->check(CLI::Range(1, 4096));
  std::vector<std::string> plugin_files;
  app.add_option("--plugin", plugin_files,
                 "a library with methods, statistics, tasks ... of your own (repeatable); "
                 "ASSAY_PLUGIN_PATH lists files and folders likewise")
      ->type_name("FILE")
      ->allow_extra_args(false);
  app.parse_complete_callback([&] {
    for (const std::string& file : plugin_files) load_plugin(file);
    load_plugins_of_environment();
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
  cli::add_statistics(app, common);
  cli::add_tokenize(app, common);
  cli::add_list(app, common);
  cli::add_show(app, common);
  cli::add_doctor(app, common);
  cli::add_new(app, common);
  cli::add_task(app, common);
  cli::add_worker(app, common);
  cli::add_help(app);
  cli::add_completion(app, "assay " ASSAY_VERSION);
  app.add_subcommand("version", "the same as --version")->callback([version] {
    fmt::print("{}\n", version);
  });
  return cli::parse(app, argc, argv);
}

}  // namespace

int main(int argc, char** argv) {
  assay::reserve_standard_descriptors();
  assay::use_huge_pages();
  int exit_code = guarded([&] {
    const int code = run(argc, argv);
    if (code == EXIT_SUCCESS) assay::check_mapped_bytes();
    return code;
  });
  if (const std::string problem = assay::finish_standard_output(); !problem.empty()) {
    assay::write_standard_error(
        fmt::format("assay: cannot write to standard output: {}\n", problem));
    if (exit_code == EXIT_SUCCESS) exit_code = assay::DataError::kExitCode;
  }
  return exit_code;
}
