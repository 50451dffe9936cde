#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "reports/internal/format.h"
#include "reports/internal/tables.h"
#include "reports/recognise.h"
#include "reports/report.h"
#include "reports/text_table.h"
#include "tests/catch.h"
#include "tests/reports/fake_results.h"
#include "tests/reports/rendered.h"

using namespace assay;

namespace {

constexpr const char* kNasty = "</script><script>alert(\"x\" & 'y')</script>|`b`\nend";

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

// Cells of the first table row of a Markdown text that starts with `name`.
std::vector<std::string> markdown_row(const std::string& text, const std::string& name) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("| " + name, 0) != 0) continue;
    std::vector<std::string> cells;
    std::istringstream parts(line.substr(2));
    for (std::string cell; std::getline(parts, cell, '|');) {
      cell.erase(0, cell.find_first_not_of(' '));
      cell.erase(cell.find_last_not_of(' ') + 1);
      cells.push_back(cell);
    }
    return cells;
  }
  return {};
}

std::string embedded_json(const std::string& html) {
  const std::string open = "id=\"report-data\">";
  const size_t begin = html.find(open) + open.size();
  return html.substr(begin, html.find("</script>", begin) - begin);
}

}  // namespace

TEST_CASE("JSON, CSV, Markdown, HTML and text hold the same numbers", "[reports]") {
  const SweepResults results = fake::results();
  const Json report = Json::parse(render_report(results, ReportFormat::kJson));
  const std::string csv = render_report(results, ReportFormat::kCsv);
  const std::string markdown = render_report(results, ReportFormat::kMarkdown);
  const std::string html = render_report(results, ReportFormat::kHtml);
  const std::string text = leaderboard_text(results);

  CHECK(report["rows"].size() == 4);
  CHECK(Json::parse(embedded_json(html)) == report);
  for (const Json& row : report["rows"]) {
    const Json& scores = row["scores"]["acc"];
    const auto line = csv_line(csv, row["name"]);
    const auto cells = markdown_row(markdown, row["label"]);
    REQUIRE(cells.size() >= 5);
    for (const auto& [name, column] : std::map<std::string, size_t>{{"held_in", 1},
                                                                    {"held_out", 3},
                                                                    {"held_in_normalised", 5},
                                                                    {"held_out_normalised", 6}}) {
      const double value = scores[name]["value"];
      CHECK(std::stod(line.at(name)) == value);
      CHECK(std::stod(line.at(name + "_ci_low")) == scores[name]["ci95"][0]);
      CHECK(cells[column] == scores[name]["text"]);
      CHECK(std::stod(scores[name]["text"].get<std::string>()) == Approx(value * 100).margin(0.05));
      CHECK(text.find(scores[name]["text"].get<std::string>()) != std::string::npos);
      CHECK(html.find(fmt::format("data-sort=\"{}\"", value)) != std::string::npos);
    }
  }
  CHECK(json_row(report, "average (default)")["costs"]["merge"]["wall_s"] == 2.0);
  CHECK(csv_line(csv, "average").at("merge_wall_s") == "2");
  CHECK(json_row(report, "average (default)")["scores"]["acc"]["held_in"]["text"]
            .get<std::string>()
            .rfind("62.5 ±", 0) == 0);
}

TEST_CASE("What was not measured is null, empty or a dash, never zero", "[reports]") {
  const SweepResults results = fake::results();
  const Json report = Json::parse(render_report(results, ReportFormat::kJson));

  const Json& average = json_row(report, "average (default)");
  CHECK(average["costs"]["merge"]["device_s"].is_null());
  CHECK(average["costs"]["tuning"].is_null());
  CHECK(json_row(report, "base")["costs"]["merge"]["wall_s"].is_null());
  CHECK(
      csv_line(render_report(results, ReportFormat::kCsv), "average").at("merge_device_s").empty());
  CHECK(cost_text(std::nullopt, CostUnit::kSeconds) == kNotAvailable);
  CHECK(cost_text(0.0, CostUnit::kBytes) == "0 B");
}

TEST_CASE("Names and reasons cannot become markup", "[reports]") {
  const size_t scripts = count(render_report(fake::results(), ReportFormat::kHtml), "<script");
  SweepResults results = fake::results();
  results.sweep.name = kNasty;
  results.runs[3].placement.row = kNasty;
  auto& failed = fake::add_average(results, "k-failed", {"s", kNasty, "tuned"});
  failed.run.status = RunStatus::kFailed;
  failed.run.reason = kNasty;
  failed.run.scores.clear();

  const std::string html = render_report(results, ReportFormat::kHtml);
  CHECK(count(html, "<script") == scripts);
  CHECK(count(html, "alert(\"x\"") == 0);
  CHECK(html.find("&lt;/script&gt;&lt;script&gt;alert(&#34;x&#34; &amp; &#39;y&#39;)") !=
        std::string::npos);
  CHECK(Json::parse(embedded_json(html))["sweep"]["name"] == kNasty);

  const std::string markdown = render_report(results, ReportFormat::kMarkdown);
  CHECK(markdown.find("<script") == std::string::npos);
  CHECK(markdown.find("\\|\\`b\\` end") != std::string::npos);

  CHECK(Json::parse(render_report(results, ReportFormat::kJson))["failures"][0]["reason"] ==
        kNasty);
  CHECK(leaderboard_text(results).find("`b` end") != std::string::npos);
}

TEST_CASE("Bytes that are no UTF-8 do not stop a report", "[reports]") {
  SweepResults results = fake::results();
  auto& failed = fake::add_average(results, "k-failed", {"s", "average", "tuned"});
  failed.run.status = RunStatus::kFailed;
  failed.run.reason = "byte \xff";

  for (const ReportFormat format :
       {ReportFormat::kHtml, ReportFormat::kMarkdown, ReportFormat::kCsv, ReportFormat::kJson})
    CHECK_FALSE(render_report(results, format).empty());
}

TEST_CASE("The page needs no network and closes no script early", "[reports]") {
  const std::string html = render_report(fake::results(), ReportFormat::kHtml);

  for (const char* link : {"src=\"", "<link", "@import", "sourceMappingURL"}) {
    INFO(link);
    CHECK(html.find(link) == std::string::npos);
  }
  CHECK(count(html, "<script") == 3);
  CHECK(count(html, "</script>") == 3);
  CHECK(html.find("{{") == html.npos);
  CHECK(html.find("Chart.js v") != std::string::npos);
}

TEST_CASE("Failures and skips are listed with their reasons", "[reports]") {
  SweepResults results = fake::results();
  auto& skipped = fake::add_average(results, "k-skipped", {"s", "slerp", "default"});
  skipped.run.status = RunStatus::kSkipped;
  skipped.run.reason = "needs exactly 2 experts";
  skipped.run.scores.clear();

  const std::string markdown = render_report(results, ReportFormat::kMarkdown);

  CHECK(markdown.find("| slerp (default) | s | skipped | needs exactly 2 experts |") !=
        std::string::npos);
  CHECK(leaderboard_text(results).find("no result") != std::string::npos);
  CHECK(render_report(fake::results(), ReportFormat::kMarkdown)
            .find("Every run of the sweep has a result.") != std::string::npos);
}

TEST_CASE("No line of the text for a terminal is longer than it may be, and no column is lost",
          "[reports]") {
  SweepResults results = fake::results();
  auto& skipped = fake::add_average(results, "k-skipped", {"s", "slerp", "default"});
  skipped.run.status = RunStatus::kSkipped;
  skipped.run.scores.clear();

  const std::string text = leaderboard_text(results, {}, 60);

  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    INFO(line);
    CHECK(std::count_if(line.begin(), line.end(), [](char c) {
            return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
          }) <= 60);
  }
  for (const Column& column : leaderboard_table(make_leaderboard(results), "acc").columns)
    CHECK(text.find(column.title) != std::string::npos);
  CHECK(folded("one two three", 8, 2) == "one two\n  three\n");
}

TEST_CASE("The best of complete merges is bold in its column", "[reports]") {
  SweepResults results = fake::results();
  auto& better = fake::add_average(results, "k-better", {"s", "better", "default"});
  better.run.scores[0].value = 1;
  better.run.scores[0].outcomes = {1, 1, 1, 1};

  const auto rows = leaderboard_table(make_leaderboard(results), "acc").groups.at(0).rows;

  CHECK((rows.at(0).at(1).best && !rows.at(1).at(1).best));  // held-in: 87.5 and 62.5
  CHECK((rows.at(0).at(3).best && rows.at(1).at(3).best));   // held-out: equal
  CHECK(render_report(results, ReportFormat::kMarkdown).find("| **87.5") != std::string::npos);
  CHECK(render_report(results, ReportFormat::kHtml).find("<strong>87.5</strong>") !=
        std::string::npos);
}

TEST_CASE("Scores of each set are shown on demand in every form", "[reports]") {
  SweepResults results = fake::results();
  results.sweep.sets.push_back(results.sweep.sets[0]);
  results.sweep.sets[1].name = "t";
  auto& other = fake::add_average(results, "k-t", {"t", "average", "default"});
  other.run.scores[0].value = 1;
  other.run.scores[0].outcomes = {1, 1, 1, 1};
  const ReportOptions per_set{.baseline = "", .per_set = true};

  const Json report = Json::parse(render_report(results, ReportFormat::kJson, per_set));
  const Json& sets = json_row(report, "average (default)")["by_set"]["acc"];
  CHECK(sets["s"]["held_in"]["value"] == 0.625);
  CHECK(sets["t"]["held_in"]["value"] == 0.875);
  const std::string markdown = render_report(results, ReportFormat::kMarkdown, per_set);
  CHECK(markdown.find("| average (default) | t | 87.5") != std::string::npos);
  CHECK(leaderboard_text(results, per_set).find("87.5") != std::string::npos);
  CHECK(csv_line(render_report(results, ReportFormat::kCsv, per_set), "average").at("set") == "t");
  CHECK(render_report(results, ReportFormat::kMarkdown).find("| t | 87.5") == std::string::npos);
}

TEST_CASE("Numbers are printed with units and sensible digits", "[reports]") {
  CHECK(percent_text(0.8342) == "83.4");
  CHECK(estimate_text({0.8342, Interval{0.82, 0.8484}, {}}) == "83.4 ±1.4");
  CHECK(difference_text({0.013, {}, {}}) == "+1.3");
  CHECK(difference_text({-0.013, {}, {}}) == "-1.3");
  CHECK(difference_text({-0.0001, Interval{-0.0051, 0.0049}, {}}) == "0.0 ±0.5");
  CHECK(scaled_text(0.0002, {1e-3, "ms"}, CostUnit::kSeconds) == "0.20");
  CHECK(cost_text(0.0123, CostUnit::kSeconds) == "12 ms");
  CHECK(cost_text(3.4, CostUnit::kSeconds) == "3.40 s");
  CHECK(cost_text(1.5 * 1024 * 1024, CostUnit::kBytes) == "1.50 MiB");
  CHECK(cost_text(123.4e9, CostUnit::kFlops) == "123 G");
  CHECK(cost_text(2700.0, CostUnit::kCount) == "2700");
  CHECK(parameters_text({{"density", 0.2}, {"trim", "model"}}) == "density=0.2, trim=model");
  CHECK(escape_csv("a,\"b\"") == "\"a,\"\"b\"\"\"");
  CHECK(time_text("2026-01-02T03:04:05.678Z") == "2026-01-02 03:04 UTC");
}

TEST_CASE("a report is recognised in every format, and no other text is one", "[reports]") {
  for (const ReportFormat format :
       {ReportFormat::kHtml, ReportFormat::kMarkdown, ReportFormat::kCsv, ReportFormat::kJson})
    CHECK(is_report(render_report(fake::results(), format)));
  for (const char* text :
       {"", "# Notes\n\nyears of work\n", "<!doctype html>\n<title>mine</title>", "{}",
        "row,value\n", "{\"format\": \"other\"}", "# Notes\n## Provenance\n## How to read this\n"})
    CHECK_FALSE(is_report(text));
}
