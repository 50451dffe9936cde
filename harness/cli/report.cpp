#include "reports/report.h"

#include <fmt/format.h>

#include "harness/cli/commands.h"
#include "harness/cli/output_file.h"
#include "harness/cli/terminal_width.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/log.h"
#include "reports/recognise.h"
#include "results/store.h"

namespace assay::cli {
namespace {

struct ReportArguments {
  std::string db, output, format, sweep;
  ReportOptions report;
};

ReportFormat format_of(const ReportArguments& options) {
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

OutputKind reports() {
  return {"report of Assay", [](const fs::path& path) { return is_report(read_file(path)); }};
}

void report(const ReportArguments& options, bool to_file) {
  if (to_file) check_output_file(options.output, reports());
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
  write_output_file(options.output, text, reports());
  log_info("report: {}", options.output);
}

}  // namespace

void add_report(CLI::App& app, const Common&) {
  auto options = std::make_shared<ReportArguments>();
  CLI::App* command = app.add_subcommand("report", "report the results of a sweep");
  command->footer(R"(Without -o and --format the leaderboard is printed as text.
Example: assay report out/quickstart.sqlite -o out/quickstart.html)");
  command->add_option("DB", options->db, "results database")->required();
  CLI::Option* output =
      command->add_option("-o,--output", options->output,
                          "file to write (default: standard output); an existing file is "
                          "replaced only if it is a report");
  command->add_option("--format", options->format,
                      "html, md, csv or json (default: by the output's extension)");
  command->add_option("--sweep", options->sweep, "name of the sweep (default: the latest)");
  command->add_option("--baseline", options->report.baseline,
                      "row that the others are compared with (default: the simple average)");
  command->add_flag("--per-set", options->report.per_set, "also the scores in each expert set");
  command->callback([options, output] { report(*options, !output->empty()); });
}

}  // namespace assay::cli
