// Rows of methods that make a model per task stand apart in every format.
#include "reports/internal/leaderboard.h"
#include "reports/internal/summary.h"
#include "reports/internal/tables.h"
#include "reports/report.h"
#include "tests/catch.h"
#include "tests/reports/fake_results.h"
#include "tests/reports/rendered.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

constexpr const char* kGroup = "A model per task";

const SweepResults& results() {
  static const SweepResults made = [] {
    SweepResults results = fake::results();
    fake::add_model_per_task(results);
    return results;
  }();
  return made;
}

}  // namespace

TEST_CASE("a model per task is never the best merge nor marked as the best of a column",
          "[reports]") {
  const Leaderboard board = make_leaderboard(results());

  CHECK(board.best == "average (default)");
  REQUIRE(board.rows.size() >= 2);
  CHECK(board.rows[0].label() == "average (default)");
  CHECK(board.rows[1].label() == "masks (default)");
  CHECK(board.rows[1].task_bytes == 2000);
  const Table table = leaderboard_table(board, "acc");
  REQUIRE(table.groups.size() >= 2);
  CHECK(table.groups[1].title == kGroup);
  CHECK_THAT(table.groups[1].rows.at(0).at(0).note, Contains("needs the task's name"));
  for (const TableCell& cell : table.groups[1].rows.at(0)) CHECK_FALSE(cell.best);
}

TEST_CASE("the summary names models per task apart from the ranking", "[reports]") {
  const std::vector<std::string> sentences = summary(results(), make_leaderboard(results()));
  std::string ranking, apart;
  for (const std::string& sentence : sentences)
    (sentence.find("needs the task's name") == std::string::npos ? ranking : apart) += sentence;

  CHECK_THAT(ranking, Contains("average (default)") && !Contains("masks"));
  CHECK_THAT(apart, Contains("masks (default) 100.0"));
}

TEST_CASE("the oracle expert stands among the models per task", "[reports]") {
  SweepResults results = fake::results();
  fake::add_model_per_task(results);
  SweepResults::PlacedRun oracle = results.runs.back();
  oracle.placement = {"s", "oracle expert", "reference"};
  oracle.run.kind = RunKind::kOracle;
  oracle.run.key = "k-oracle";
  oracle.run.method = "";
  results.runs.push_back(oracle);
  const Leaderboard board = make_leaderboard(results);

  CHECK(board.best == "average (default)");
  CHECK(board.rows[2].label() == "oracle expert");
  CHECK(board.rows[2].needs_task_name);
  CHECK(leaderboard_table(board, "acc").groups[1].rows.size() == 2);
}

TEST_CASE("every format says which rows need the task's name", "[reports]") {
  const Json report = Json::parse(render_report(results(), ReportFormat::kJson));
  CHECK(json_row(report, "masks (default)").at("needs_task_name") == true);
  CHECK(json_row(report, "masks (default)").at("task_bytes") == 2000);
  CHECK(json_row(report, "average (default)").at("needs_task_name") == false);
  CHECK(json_row(report, "average (default)").at("task_bytes").is_null());
  for (const Json& front : report.at("pareto").at("acc"))
    CHECK_THAT(front.dump(), !Contains("masks"));

  const std::string csv = render_report(results(), ReportFormat::kCsv);
  CHECK(csv_line(csv, "masks").at("needs_task_name") == "1");
  CHECK(csv_line(csv, "masks").at("task_bytes") == "2000");
  CHECK(csv_line(csv, "average").at("needs_task_name") == "0");
  CHECK(csv_line(csv, "average").at("task_bytes").empty());

  CHECK_THAT(render_report(results(), ReportFormat::kMarkdown),
             Contains(std::string("| *") + kGroup + "* |") && Contains("needs the task's name"));
  CHECK_THAT(render_report(results(), ReportFormat::kHtml), Contains(kGroup));
  CHECK_THAT(leaderboard_text(results(), {}, 200), Contains(kGroup));
}
