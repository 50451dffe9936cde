// Rows of methods that look at data: what they are charged and how they are marked.
#include "reports/internal/summary.h"
#include "reports/internal/tables.h"
#include "reports/report.h"
#include "tests/catch.h"
#include "tests/reports/fake_results.h"
#include "tests/reports/rendered.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

/// Two statistics of 4 s and 8 s, a third of 16 s that only a grid uses, and two rows.
SweepResults calibrated_results() {
  SweepResults results = fake::results();
  results.statistics = {
      {"s-1", "input_gram", 1, Json::object(), "h1", Json::object(), 600, {}},
      {"s-2", "input_gram", 1, Json::object(), "h2", Json::object(), 200, {}},
      {"s-3", "fisher", 1, {{"estimator", "exact"}}, "h2", Json::object(), 1, {}}};
  results.statistics[0].cost = fake::cost(4);
  results.statistics[1].cost = fake::cost(8);
  results.statistics[2].cost = fake::cost(16);
  for (const char* variant : {"default", "tuned"}) {
    RunRecord& run =
        fake::add_average(results, fmt::format("k-{}", variant), {"s", "regmean", variant}).run;
    run.statistics = {"s-1", "s-2"};
    run.calibration = {{"split", "validation"},
                       {"examples", 64},
                       {"seed", 0},
                       {"tasks", {{{{"name", "a"}}}, {{{"name", "b"}}, {{"name", "c"}}}}}};
  }
  RunRecord& grid = fake::add_average(results, "k-grid", {"s", "regmean", "grid"}).run;
  grid.calibration = results.runs.at(4).run.calibration;
  grid.statistics = {"s-1", "s-2", "s-3"};
  return results;
}

}  // namespace

TEST_CASE("A method is charged the whole cost of its statistics, and a grid once", "[reports]") {
  const Leaderboard board = make_leaderboard(calibrated_results());

  const LeaderboardRow& plain = board_row(board, "regmean (default)");
  CHECK(*cost_value(plain.costs.calibration, "wall_s") == 12);
  CHECK(*cost_value(plain.costs.merge, "wall_s") == 14);  // and 0.5 s + 1.5 s of its own
  CHECK(*cost_value(plain.costs.statistics, "wall_s") == 0.5);
  CHECK(*plain.costs.shipped_bytes == 400);  // 800 bytes of two experts
  const LeaderboardRow& tuned = board_row(board, "regmean (tuned)");
  // The grid's own 5 s and the statistic that only it used.
  CHECK(*cost_value(tuned.costs.tuning, "wall_s") == 21);
  CHECK(*cost_value(tuned.costs.total, "wall_s") == 35);
  const LeaderboardRow& average = board_row(board, "average (default)");
  CHECK(*cost_value(average.costs.merge, "wall_s") == 2);
  CHECK_FALSE(average.costs.shipped_bytes);
  CHECK_FALSE(cost_value(average.costs.calibration, "wall_s"));
}

TEST_CASE("Rows that looked at data have their columns, and the test split is flagged",
          "[reports][pitfall-10]") {
  SweepResults results = calibrated_results();
  CHECK(leaderboard_table(make_leaderboard(fake::results()), "acc").columns.size() == 10);
  Table table = leaderboard_table(make_leaderboard(results), "acc");
  CHECK(table.columns.at(10).title == "Calibration time (s)");
  CHECK_THAT(table.columns.at(11).title, Contains("Shipped"));
  CHECK(std::none_of(table.groups.at(0).rows.begin(), table.groups.at(0).rows.end(),
                     [](const auto& row) { return row.at(0).warning; }));

  for (auto& placed : results.runs)
    if (placed.placement.variant == "tuned") placed.run.calibration["split"] = "test";

  int flagged = 0;
  table = leaderboard_table(make_leaderboard(results), "acc");
  for (const auto& row : table.groups.at(0).rows)
    if (row.at(0).warning) {
      ++flagged;
      CHECK(full_text(row.at(0)) == "regmean (tuned)");
      CHECK_THAT(row.at(0).note, Contains("transductive"));
    }
  CHECK(flagged == 1);
  const Json report = Json::parse(render_report(results, ReportFormat::kJson));
  CHECK(json_row(report, "regmean (tuned)").at("transductive") == true);
  CHECK(json_row(report, "regmean (default)").at("transductive") == false);
  CHECK(json_row(report, "regmean (default)").at("calibrations").at(0).at("examples") == 64);
  CHECK(report.at("provenance").at("statistics").size() == 3);
  // The sentence on the best row says so, too.
  for (auto& placed : results.runs)
    if (placed.run.kind == RunKind::kMerge) placed.run.calibration["split"] = "test";
  const Leaderboard board = make_leaderboard(results);
  CHECK_THAT(summary(results, board).at(0), Contains("transductive"));
}

TEST_CASE("The table of calibration says which data every row looked at", "[reports]") {
  const Table table = calibration_table(calibrated_results());

  REQUIRE(table.groups.at(0).rows.size() == 3);
  const auto& row = table.groups.at(0).rows.at(2);
  CHECK(full_text(row.at(0)) == "regmean (grid)");
  CHECK(row.at(2).text == "validation");
  CHECK(row.at(3).text == "64");
  CHECK(row.at(5).text == "e1: a; e2: b, c");
  CHECK_THAT(row.at(6).text, Contains("input_gram") && Contains("fisher"));
  CHECK(calibration_table(fake::results()).empty());
  const std::string csv = render_report(calibrated_results(), ReportFormat::kCsv);
  CHECK(csv_line(csv, "average").at("calibration_splits").empty());
  CHECK(csv_line(csv, "regmean").at("calibration_splits") == "validation");
  CHECK(csv_line(csv, "regmean").at("shipped_bytes") == "400");
  CHECK(csv_line(csv, "regmean").at("calibration_wall_s") == "12");
}
