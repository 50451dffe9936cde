#include "reports/report.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <system_error>

#include "harness/cli/commands.h"
#include "harness/cli/terminal_width.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/log.h"
#include "harness/core/paths.h"
#include "reports/recognise.h"
#include "results/store.h"

namespace assay::cli {
namespace {

struct Options {
  std::string db, output, format, sweep;
  ReportOptions report;
};

ReportFormat format_of(const Options& options) {
  static const std::map<std::string, ReportFormat> known{{"html", ReportFormat::kHtml},
                                                         {"md", ReportFormat::kMarkdown},
                                                         {"csv", ReportFormat::kCsv},
                                                         {"json", ReportFormat::kJson}};
  std::string name = options.format;
  if (name.empty() && !options.output.empty()) {
    name = fs::path(options.output).extension().string();
    if (!name.empty()) name.erase(0, 1);
  }
  const auto it = known.find(name);
  if (it != known.end()) return it->second;
  std::vector<std::string> names;
  for (const auto& [candidate, unused] : known) names.push_back(candidate);
  throw UserError(unknown_name("report format", name, "the command line", names));
}

// A pipe, a terminal, or what standard output goes to: written into, never replaced.
bool is_stream(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::is_fifo(status) || fs::is_character_file(status)) return true;
  struct stat named {
  }, standard{};
  return fs::is_regular_file(status) && ::stat(path.c_str(), &named) == 0 &&
         ::fstat(STDOUT_FILENO, &standard) == 0 && named.st_dev == standard.st_dev &&
         named.st_ino == standard.st_ino;
}

void write_stream(const fs::path& path, const std::string& text) {
  if (fs::is_regular_file(path)) {  // it may have been opened for appending
    fmt::print("{}", text);
    return;
  }
  errno = 0;
  std::ofstream out(path, std::ios::binary);
  out << text;
  out.close();
  if (!out) data_error("cannot write '{}': {}", path.string(), std::strerror(errno));
}

// Where a report of this name will lie: behind links, which stay. UserError when something is there
// that is no report.
fs::path check_output(const fs::path& name) {
  fs::path path = resolve_output(name);
  const fs::file_status status = fs::status(path);
  if (!fs::exists(status)) return path;
  if (!fs::is_regular_file(status)) user_error("'{}' is no file to write to", name.string());
  if (fs::file_size(path) > 0 && !is_report(read_file(path)))
    user_error("'{}' is there and is no report of Assay: it is kept; name another file",
               name.string());
  return path;
}

void write_report(const fs::path& name, const std::string& text) {
  if (is_stream(name)) return write_stream(name, text);
  const fs::path path = check_output(name);
  if (fs::exists(path))
    write_file(path, text);
  else if (!write_new_file(path, text))
    user_error("'{}' appeared meanwhile: it is kept; name another file", name.string());
}

void report(const Options& options, bool to_file) {
  if (to_file && !is_stream(options.output)) check_output(options.output);
  const bool as_text = !to_file && options.format.empty();
  const ReportFormat format = as_text ? ReportFormat::kHtml : format_of(options);
  const SweepResults results = Store::open_read_only(options.db).load_sweep(options.sweep);
  if (as_text) {
    fmt::print("{}", leaderboard_text(results, options.report, terminal_width()));
    return;
  }
  const std::string text = render_report(results, format, options.report);
  if (!to_file) {
    fmt::print("{}", text);
    return;
  }
  write_report(options.output, text);
  log_info("report: {}", options.output);
}

}  // namespace

void add_report(CLI::App& app, const Common&) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("report", "report the results of a sweep");
  command->footer(R"(Without -o and --format the leaderboard is printed as text.
Example: assay report out/quickstart.sqlite -o out/quickstart.html)");
  command->add_option("DB", options->db, "results database")->required();
  CLI::Option* output =
      command->add_option("-o,--output", options->output,
                          "file to write (default: standard output); of those that are "
                          "there only reports are replaced");
  command->add_option("--format", options->format,
                      "html, md, csv or json (default: by the output's name)");
  command->add_option("--sweep", options->sweep, "name of the sweep (default: the latest)");
  command->add_option("--baseline", options->report.baseline,
                      "row that the others are compared with (default: the simple average)");
  command->add_flag("--per-set", options->report.per_set, "also the scores in each expert set");
  command->callback([options, output] { report(*options, !output->empty()); });
}

}  // namespace assay::cli
