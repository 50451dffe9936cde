#include "reports/report.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/core/error.h"
#include "harness/core/metrics.h"
#include "reports/internal/renderers.h"
#include "reports/internal/summary.h"
#include "reports/text_table.h"

namespace assay {

std::string overview(const SweepResults& results, const Leaderboard& board) {
  const auto merges = std::count_if(board.rows.begin(), board.rows.end(),
                                    [](const LeaderboardRow& row) { return row.is_merge(); });
  const auto runs = distinct_runs(results);
  const auto without = std::count_if(runs.begin(), runs.end(), [](const auto* placed) {
    return placed->run.status != RunStatus::kOk;
  });
  return fmt::format("{} method rows · {} expert sets · {} tasks · {} runs, {} without a result{}",
                     merges, board.sets.size(), board.tasks.size(), runs.size(), without,
                     results.finished_at.empty() ? " · not finished" : "");
}

std::string render_report(const SweepResults& results, ReportFormat format,
                          const ReportOptions& options) {
  const Leaderboard board = make_leaderboard(results, options);
  switch (format) {
    case ReportFormat::kHtml:
      return report_html(results, board);
    case ReportFormat::kMarkdown:
      return report_markdown(results, board);
    case ReportFormat::kCsv:
      return report_csv(board);
    case ReportFormat::kJson:
      return report_json(results, board).dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  }
  ASSAY_CHECK(false, "report format {}", static_cast<int>(format));
}

std::string leaderboard_text(const SweepResults& results, const ReportOptions& options,
                             size_t width) {
  const Leaderboard board = make_leaderboard(results, options);
  std::string text = folded(printable(results.sweep.name) + ": " + overview(results, board), width);
  text += "\n";
  for (const std::string& sentence : summary(results, board))
    text += folded(fmt::format("- {}", printable(sentence)), width, 2);
  text += "\n";
  text += folded(fmt::format("{}{}, test split; ± is a 95 % confidence interval over test "
                             "items, \"over sets\" the minimum and maximum over the "
                             "means of single sets and seeds",
                             board.primary_text(), is_fraction(board.primary()) ? " in %" : ""),
                 width);
  const auto add = [&](const Table& table) {
    text += '\n';
    text += text_table(table, width);
  };
  add(leaderboard_tables(board).front());
  if (const Table table = per_set_table(board, board.primary()); !table.empty()) add(table);
  if (!options.baseline.empty()) add(comparison_table(board));
  return text;
}

}  // namespace assay
