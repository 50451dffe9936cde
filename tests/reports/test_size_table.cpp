#include "reports/internal/tables.h"
#include "reports/report.h"
#include "tests/catch.h"
#include "tests/reports/fake_results.h"
#include "tests/reports/rendered.h"

using namespace assay;

TEST_CASE("Sizes of models are means over runs, and nowhere where no run has one", "[reports]") {
  SweepResults results = fake::results();
  CHECK(size_table(make_leaderboard(results)).empty());
  CHECK(render_report(results, ReportFormat::kMarkdown).find("Model sizes") == std::string::npos);

  results.runs[3].run.diagnostics[kModelSize] = ModelSize{2000, 1000, 8000, 1500};
  auto& second = fake::add_average(results, "k-again", results.runs[3].placement);
  second.run.seed = 1;
  second.run.diagnostics[kModelSize] = ModelSize{4000, 1000, 16000};

  const Leaderboard board = make_leaderboard(results);
  const Table sizes = size_table(board);
  REQUIRE(sizes.groups.size() == 1);
  REQUIRE(sizes.groups[0].rows.size() == 1);
  CHECK(sizes.groups[0].rows[0].at(1).sort == 3000);
  CHECK(sizes.groups[0].rows[0].at(2).sort == 1000);
  CHECK(sizes.groups[0].rows[0].at(3).sort == 12000);
  CHECK(sizes.groups[0].rows[0].at(4).sort == 1500);  // of the run that has it
  CHECK(render_report(results, ReportFormat::kMarkdown).find("## Model sizes") !=
        std::string::npos);
  CHECK(render_report(results, ReportFormat::kHtml).find("Model sizes") != std::string::npos);
  const Json report = Json::parse(render_report(results, ReportFormat::kJson));
  CHECK(json_row(report, "average (default)")["size"]["active"] == 1000);
}

TEST_CASE("what a router of sequences multiplies has a column where one does", "[reports]") {
  SweepResults results = fake::results();
  results.runs[0].run.diagnostics[kModelSize] = ModelSize{1000, 1000, 4000, 500};
  results.runs[3].run.diagnostics[kModelSize] = ModelSize{2000, 1000, 8000, 500};
  CHECK(size_table(make_leaderboard(results)).columns.size() == 5);
  results.runs[3].run.diagnostics[kModelSize] = ModelSize{2000, 1000, 8000, 500, 1000};
  const Table sizes = size_table(make_leaderboard(results));
  REQUIRE(sizes.columns.size() == 6);
  std::vector<double> found;  // -1: there is none
  for (const RowGroup& group : sizes.groups)
    for (const auto& row : group.rows) found.push_back(row.at(5).sort.value_or(-1));
  CHECK(found == std::vector<double>{1000, -1});
}
