#include "reports/internal/tables.h"
#include "reports/report.h"
#include "tests/catch.h"
#include "tests/reports/fake_results.h"
#include "tests/reports/rendered.h"

using namespace assay;

TEST_CASE("choices of experts are added up over runs, and shares are means over routers",
          "[reports]") {
  SweepResults results = fake::results();
  CHECK(routing_table(make_leaderboard(results)).empty());
  CHECK(render_report(results, ReportFormat::kMarkdown).find("routers send") == std::string::npos);

  results.runs[3].run.diagnostics[kRouting] =
      TaskRouting{{"a", {{"first", {1, 3}}, {"second", {4, 0}}}}};
  auto& second = fake::add_average(results, "k-again", results.runs[3].placement);
  second.run.seed = 1;
  second.run.diagnostics[kRouting] = TaskRouting{{"a", {{"first", {3, 1}}}}};

  const Table routing = routing_table(make_leaderboard(results));
  REQUIRE(routing.groups.size() == 1);
  REQUIRE(routing.groups[0].rows.size() == 1);
  const auto& row = routing.groups[0].rows[0];
  CHECK(row.at(1).text == "a");
  CHECK(row.at(2).sort == 12);
  CHECK(row.at(3).sort == Approx(0.5));    // one router is even, one has a single expert
  CHECK(row.at(4).text == "75.0 · 25.0");  // the means of 4/8 and 4/4, of 4/8 and 0/4
  const Json report = Json::parse(render_report(results, ReportFormat::kJson));
  CHECK(json_row(report, "average (default)")["routing"]["a"]["first"] == Json({4, 4}));
  CHECK(render_report(results, ReportFormat::kHtml).find("routers send") != std::string::npos);
}
