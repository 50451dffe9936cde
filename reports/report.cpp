#include "reports/report.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/core/error.h"
#include "harness/core/metrics.h"
#include "reports/format.h"
#include "reports/renderers.h"

namespace assay {
namespace {

// Columns on a terminal, where most characters are one byte or, as – and ±, one column in several.
size_t width(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

// Control characters of a name or a reason must not reach the terminal.
std::string printable(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  return text;
}

}  // namespace

std::string text_table(const Table& table, size_t columns) {
  std::vector<size_t> widths;
  for (size_t i = 0; i < columns; ++i) {
    widths.push_back(width(table.columns[i].title));
    for (const RowGroup& group : table.groups)
      for (const auto& row : group.rows)
        widths[i] = std::max(widths[i], width(printable(full_text(row[i]))) + (i == 0 ? 2 : 0));
  }
  const auto pad = [&](size_t i, const std::string& text) {
    const std::string space(widths[i] - width(text), ' ');
    return table.columns[i].numeric ? space + text : text + space;
  };
  const auto join = [&](auto&& text_of) {
    std::string line;
    for (size_t i = 0; i < columns; ++i) line += (i ? "  " : "") + pad(i, text_of(i));
    return line.substr(0, line.find_last_not_of(' ') + 1);
  };
  std::string out = join([&](size_t i) { return table.columns[i].title; }) + "\n";
  for (const RowGroup& group : table.groups) {
    if (!group.title.empty()) out += group.title + "\n";
    for (const auto& row : group.rows) {
      out += join([&](size_t i) { return (i == 0 ? "  " : "") + printable(full_text(row[i])); });
      if (!row[0].note.empty()) out += "  " + printable(row[0].note);
      out += "\n";
    }
  }
  return out;
}

std::string overview(const SweepResults& results, const Leaderboard& board) {
  const auto merges = std::count_if(board.rows.begin(), board.rows.end(),
                                    [](const LeaderboardRow& row) { return row.is_merge(); });
  const auto without = std::count_if(results.runs.begin(), results.runs.end(),
                                     [](const auto& p) { return p.run.status != RunStatus::kOk; });
  return fmt::format("{} method rows · {} expert sets · {} tasks · {} runs, {} without a result{}",
                     merges, board.sets.size(), board.tasks.size(), results.runs.size(), without,
                     results.finished_at.empty() ? " · not finished" : "");
}

std::string render_report(const SweepResults& results, ReportFormat format) {
  const Leaderboard board = make_leaderboard(results);
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

std::string leaderboard_text(const SweepResults& results) {
  const Leaderboard board = make_leaderboard(results);
  const Table table = leaderboard_table(board, board.primary());
  constexpr size_t kColumns = 5;  // the name, raw and normalised scores: what fits 100 columns
  std::string text =
      fmt::format("{}: {}\n{}{}, test split, with 95 % confidence intervals\n\n{}",
                  printable(results.sweep.name), overview(results, board), board.primary(),
                  is_fraction(board.primary()) ? " in %" : "", text_table(table, kColumns));
  return text;
}

}  // namespace assay
