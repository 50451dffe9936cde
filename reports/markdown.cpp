#include <fmt/format.h>

#include "reports/internal/format.h"
#include "reports/internal/renderers.h"
#include "reports/internal/summary.h"

namespace assay {
namespace {

std::string cell_text(const TableCell& cell, bool is_name) {
  std::string text = escape_markdown(full_text(cell));
  if (is_name && !cell.note.empty()) text += fmt::format(" ({})", escape_markdown(cell.note));
  if (cell.outlined || cell.best) text = "**" + text + "**";
  return text;
}

std::string markdown_table(const Table& table) {
  std::string text;
  if (!table.intro.empty()) text += table.intro + "\n\n";
  if (table.empty()) return text + table.empty_text + "\n\n";
  std::string rule;
  for (const Column& column : table.columns) {
    text += fmt::format("| {} ", escape_markdown(column.title));
    rule += column.numeric ? "|---:" : "|---";
  }
  text += "|\n" + rule + "|\n";
  for (const RowGroup& group : table.groups) {
    if (!group.title.empty() && table.groups.size() > 1) {
      text += fmt::format("| *{}* ", escape_markdown(group.title));
      for (size_t i = 1; i < table.columns.size(); ++i) text += "| ";
      text += "|\n";
    }
    for (const auto& row : group.rows) {
      for (size_t i = 0; i < row.size(); ++i)
        text += fmt::format("| {} ", cell_text(row[i], i == 0));
      text += "|\n";
    }
  }
  return text + "\n";
}

std::string section(const Table& table, int level = 2) {
  return fmt::format("{} {}\n\n{}", std::string(static_cast<size_t>(level), '#'),
                     escape_markdown(table.title), markdown_table(table));
}

}  // namespace

std::string report_markdown(const SweepResults& results, const Leaderboard& board) {
  std::string text =
      fmt::format("# {}\n\n{}\n\n", escape_markdown(results.sweep.name), overview(results, board));
  text += "## Summary\n\n";
  for (const std::string& sentence : summary(results, board))
    text += fmt::format("- {}\n", escape_markdown(sentence));
  text += "\n";
  for (const Table& table : leaderboard_tables(board)) text += section(table);
  for (const std::string& metric : board.metrics)
    if (const Table table = per_set_table(board, metric); !table.empty()) text += section(table);
  text += section(comparison_table(board));
  text += "## Scores by task\n\nBold: held-in.\n\n";
  for (const HeatMap& map : heat_maps(board)) text += section(map.table, 3);
  if (const Table table = unnormalised_table(board); !table.empty()) text += section(table);
  text += section(cost_table(board));
  if (const Table table = size_table(board); !table.empty()) text += section(table);
  if (const Table table = routing_table(board); !table.empty()) text += section(table);
  text += section(configuration_table(board));
  text += section(requirements_table(results, board));
  text += section(failures_table(results));
  text += "## Provenance\n\n";
  for (const Table& table : provenance_tables(results)) text += section(table, 3);
  text += "## How to read this\n\n";
  for (const auto& [term, definition] : definitions())
    text += fmt::format("- **{}.** {}\n", term, definition);
  return text;
}

}  // namespace assay
