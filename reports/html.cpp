#include <fmt/format.h>

#include <algorithm>

#include "harness/core/error.h"
#include "harness/core/html.h"
#include "reports/internal/format.h"
#include "reports/internal/renderers.h"
#include "reports/internal/summary.h"

namespace assay {
namespace embedded {
extern const unsigned char page_html[], page_css[], page_js[], chart_js[];
}  // namespace embedded

namespace {

// Chart.js and page.js must not contain "</script"; a test checks it.
std::string embedded_text(const unsigned char* bytes) {
  return reinterpret_cast<const char*>(bytes);
}

// JSON inside a script element: with no "<" left, nothing can close the element or open a comment.
std::string script_json(const Json& json) {
  std::string out;
  for (const char c : json.dump(-1, ' ', true, Json::error_handler_t::replace))
    out += c == '<' ? std::string("\\u003c") : std::string(1, c);
  return out;
}

// The common scale of a column's interval marks: the range of the first group, the methods, whose
// differences are small. Marks of other rows outside it are not drawn.
Interval mark_scale(const Table& table, size_t column) {
  Interval scale{1e300, -1e300};
  for (const auto& row : table.groups.front().rows)
    if (const auto& mark = row[column].mark; mark && mark->value) {
      scale.low = std::min(scale.low, mark->ci ? mark->ci->low : *mark->value);
      scale.high = std::max(scale.high, mark->ci ? mark->ci->high : *mark->value);
    }
  return scale;
}

std::string mark_html(const Estimate& mark, const Interval& scale) {
  if (!mark.value || scale.high <= scale.low) return "";
  if (*mark.value < scale.low || *mark.value > scale.high) return "";
  const auto place = [&](double x) { return (x - scale.low) / (scale.high - scale.low) * 100; };
  Interval ci = mark.ci.value_or(Interval{*mark.value, *mark.value});
  ci = {std::max(ci.low, scale.low), std::min(ci.high, scale.high)};
  return fmt::format(
      "<span class=\"mark\" aria-hidden=\"true\" "
      "style=\"--x:{:.1f}%;--low:{:.1f}%;--span:{:.1f}%\"></span>",
      place(*mark.value), place(ci.low), place(ci.high) - place(ci.low));
}

// The number in full colour, its ± part faint; the best of a column bold.
std::string number_html(const TableCell& cell) {
  const size_t split = std::min(cell.text.find(" ±"), cell.text.size());
  std::string html = escape_html(cell.text.substr(0, split));
  if (cell.best) html = "<strong>" + html + "</strong>";
  if (cell.warning) html = "<span class=\"note\">" + html + "</span>";
  if (split == cell.text.size()) return html;
  return fmt::format("{}<span class=\"pm\">{}</span>", html, escape_html(cell.text.substr(split)));
}

std::string name_html(const TableCell& cell) {
  std::string html = escape_html(cell.text);
  if (!cell.tag.empty())
    html += fmt::format(" <span class=\"tag {0}\">{0}</span>", escape_html(cell.tag));
  if (!cell.note.empty())
    html += fmt::format(" <span class=\"note\">{}</span>", escape_html(cell.note));
  return html;
}

std::string cell_html(const TableCell& cell, const Column& column, const Interval& scale) {
  std::string attributes, classes = column.numeric ? "num" : "";
  if (cell.heat) {
    classes += fmt::format(" heat{}{}", *cell.heat > 0.55 ? " strong" : "",
                           cell.outlined ? " held-in" : "");
    attributes += fmt::format(" style=\"--v:{:.3f}\"", *cell.heat);
  }
  if (column.numeric && cell.sort) attributes += fmt::format(" data-sort=\"{}\"", *cell.sort);
  if (!cell.note.empty()) attributes += fmt::format(" title=\"{}\"", escape_html(cell.note));
  return fmt::format("<td class=\"{}\"{}>{}{}</td>", classes, attributes, number_html(cell),
                     cell.mark ? mark_html(*cell.mark, scale) : "");
}

std::string group_html(const Table& table, const RowGroup& group,
                       const std::vector<Interval>& scales) {
  std::string html =
      fmt::format("<tbody{}>", group.title == "Single experts" ? " class=\"experts\"" : "");
  if (!group.title.empty() && table.groups.size() > 1)
    html += fmt::format(
        "<tr class=\"group\"><th scope=\"rowgroup\" colspan=\"{}\"><span>{}</span></th></tr>\n",
        table.columns.size(), escape_html(group.title));
  for (const auto& row : group.rows) {
    html += fmt::format("<tr><th scope=\"row\">{}</th>", name_html(row[0]));
    for (size_t i = 1; i < row.size(); ++i) html += cell_html(row[i], table.columns[i], scales[i]);
    html += "</tr>\n";
  }
  return html + "</tbody>\n";
}

std::string table_html(const Table& table) {
  if (table.empty())
    return fmt::format("<p class=\"none\">{}</p>\n", escape_html(table.empty_text));
  std::vector<Interval> scales;
  for (size_t i = 0; i < table.columns.size(); ++i) scales.push_back(mark_scale(table, i));
  std::string html = fmt::format(
      "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\"><table "
      "class=\"sortable\" id=\"{1}\"><caption>{0}</caption><thead><tr>",
      escape_html(table.title), escape_html(table.id));
  for (const Column& column : table.columns)
    html += fmt::format("<th scope=\"col\"{}>{}{}</th>", column.numeric ? " class=\"num\"" : "",
                        escape_html(column.title),
                        column.hint.empty() ? ""
                                            : fmt::format(" <span class=\"hint\">{}</span>",
                                                          escape_html(column.hint)));
  html += "</tr></thead>\n";
  for (const RowGroup& group : table.groups) html += group_html(table, group, scales);
  return html + "</table></div>\n";
}

std::string intro_html(const Table& table) {
  return table.intro.empty() ? ""
                             : fmt::format("<p class=\"intro\">{}</p>\n", escape_html(table.intro));
}

std::string section_html(const Table& table) {
  return fmt::format(
      "<section aria-labelledby=\"h-{0}\"><h2 id=\"h-{0}\">{1}</h2>\n{2}{3}</section>\n",
      escape_html(table.id), escape_html(table.title), intro_html(table), table_html(table));
}

std::string leaderboards_html(const Leaderboard& board) {
  std::string html;
  if (board.has_mixed_kinds()) {  // whatever metric is chosen
    const Table table = mixed_leaderboard_table(board);
    return intro_html(table) + table_html(table);
  }
  for (const std::string& metric : board.metrics) {
    const Table table = leaderboard_table(board, metric);
    html += fmt::format("<div class=\"view\" data-metric=\"{0}\"><h3>{0}</h3>\n{1}{2}</div>\n",
                        escape_html(metric), intro_html(table), table_html(table));
  }
  return html;
}

std::string heat_maps_html(const Leaderboard& board) {
  std::string html;
  for (const HeatMap& map : heat_maps(board))
    html += fmt::format(
        "<div class=\"view\" data-metric=\"{}\" data-view=\"{}\"><h3>{}</h3>\n{}{}</div>\n",
        escape_html(map.metric), escape_html(map.view), escape_html(map.table.title),
        intro_html(map.table), table_html(map.table));
  return html;
}

std::string per_set_html(const Leaderboard& board) {
  std::string html;
  for (const std::string& metric : board.metrics)
    if (const Table table = per_set_table(board, metric); !table.empty())
      html += section_html(table);
  return html;
}

std::string summary_html(const SweepResults& results, const Leaderboard& board) {
  std::string html = "<ul>\n";
  for (const std::string& sentence : summary(results, board))
    html += fmt::format("<li>{}</li>\n", escape_html(sentence));
  return html + "</ul>\n";
}

std::string provenance_html(const SweepResults& results) {
  std::string html;
  for (const Table& table : provenance_tables(results))
    html += fmt::format("<h3>{}</h3>\n{}{}", escape_html(table.title), intro_html(table),
                        table_html(table));
  return html;
}

std::string definitions_html() {
  std::string html = "<dl>\n";
  for (const auto& [term, definition] : definitions())
    html += fmt::format("<dt>{}</dt><dd>{}</dd>\n", escape_html(term), escape_html(definition));
  return html + "</dl>\n";
}

// Replaces each {{name}} of the template, in one pass: inserted text is not expanded again.
std::string fill(const std::string& page, const std::map<std::string, std::string>& parts) {
  std::string out;
  size_t at = 0;
  for (size_t open; (open = page.find("{{", at)) != std::string::npos;) {
    const size_t close = page.find("}}", open);
    ASSAY_CHECK(close != std::string::npos, "page.html: an open placeholder");
    out += page.substr(at, open - at) + parts.at(page.substr(open + 2, close - open - 2));
    at = close + 2;
  }
  return out + page.substr(at);
}

std::string optional_section(const Table& table) {
  return table.empty() ? "" : section_html(table);
}

}  // namespace

std::string report_html(const SweepResults& results, const Leaderboard& board) {
  return fill(embedded_text(embedded::page_html),
              {{"title", escape_html(results.sweep.name)},
               {"overview", escape_html(overview(results, board))},
               {"started", escape_html(time_text(results.started_at))},
               {"css", embedded_text(embedded::page_css)},
               {"summary", summary_html(results, board)},
               {"leaderboards", leaderboards_html(board)},
               {"per_set", per_set_html(board)},
               {"comparisons", section_html(comparison_table(board))},
               {"heat_maps", heat_maps_html(board)},
               {"unnormalised", optional_section(unnormalised_table(board))},
               {"costs", section_html(cost_table(board)) + optional_section(size_table(board)) +
                             optional_section(routing_table(board))},
               {"configurations", section_html(configuration_table(board))},
               {"requirements", section_html(requirements_table(results, board))},
               {"failures", section_html(failures_table(results))},
               {"provenance", provenance_html(results)},
               {"definitions", definitions_html()},
               {"data", script_json(report_json(results, board))},
               {"chart_js", embedded_text(embedded::chart_js)},
               {"page_js", embedded_text(embedded::page_js)}});
}

}  // namespace assay
