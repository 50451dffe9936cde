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

TEST_CASE("choices of members are added up by their checkpoints, and have their names",
          "[reports][routed]") {
  SweepResults results = fake::results();
  const auto decided = [](RunRecord& run, std::vector<std::string> members,
                          const std::vector<int64_t>& counts) {
    run.diagnostics[kMembers] = std::move(members);
    run.diagnostics[kRouting] = TaskRouting{{"a", {{kSequenceRouter, counts}}}};
  };
  decided(results.runs[3].run, {"h1", "h2"}, {3, 1});
  auto& second = fake::add_average(results, "k-again", results.runs[3].placement);
  second.run.seed = 1;
  decided(second.run, {"h2", "h0"}, {2, 4});  // in another order, with the base in place of e1

  const Table routing = routing_table(make_leaderboard(results));
  REQUIRE(routing.groups.size() == 1);
  const auto& row = routing.groups[0].rows.at(0);
  CHECK(row.at(2).sort == 10);
  CHECK(row.at(4).text == "e1 30.0 · e2 30.0 · base 40.0");
  const Json report = Json::parse(render_report(results, ReportFormat::kJson));
  const Json average = json_row(report, "average (default)");
  CHECK(average["routing"]["a"]["sequences"] == Json({3, 3, 4}));
  CHECK(average["members"] == Json({"e1", "e2", "base"}));
}
