#include "reports/report.h"

#include <fmt/format.h>

#include "harness/cli/commands.h"
#include "harness/cli/terminal_width.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/log.h"
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

void report(const Options& options) {
  const SweepResults results = Store::open_read_only(options.db).load_sweep(options.sweep);
  if (options.output.empty() && options.format.empty()) {
    fmt::print("{}", leaderboard_text(results, options.report, terminal_width()));
    return;
  }
  const std::string text = render_report(results, format_of(options), options.report);
  if (options.output.empty()) {
    fmt::print("{}", text);
    return;
  }
  write_file(options.output, text);
  log_info("report: {}", options.output);
}

}  // namespace

void add_report(CLI::App& app, const Common&) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("report", "report the results of a sweep");
  command->footer(R"(Without -o and --format the leaderboard is printed as text.
Example: assay report out/quickstart.sqlite -o out/quickstart.html)");
  command->add_option("DB", options->db, "results database")->required();
  command->add_option("-o,--output", options->output, "file to write (default: standard output)");
  command->add_option("--format", options->format,
                      "html, md, csv or json (default: by the output's name)");
  command->add_option("--sweep", options->sweep, "name of the sweep (default: the latest)");
  command->add_option("--baseline", options->report.baseline,
                      "row that the others are compared with (default: the simple average)");
  command->add_flag("--per-set", options->report.per_set, "also the scores in each expert set");
  command->callback([options] { report(*options); });
}

}  // namespace assay::cli
