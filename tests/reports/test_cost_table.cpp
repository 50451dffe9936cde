#include "reports/internal/format.h"
#include "reports/internal/tables.h"
#include "reports/report.h"
#include "tests/catch.h"
#include "tests/reports/fake_results.h"
#include "tests/reports/rendered.h"

using namespace assay;

TEST_CASE("A column of costs has one unit, which its title names", "[reports]") {
  SweepResults results = fake::results();
  auto& quick = fake::add_average(results, "k-quick", {"s", "quick", "default"});
  quick.run.costs = {{"merge", fake::cost(0.004)}};

  const Table table = leaderboard_table(make_leaderboard(results), "acc");

  CHECK(table.columns.at(8).title == "Merge time (s)");
  CHECK(table.groups.at(0).rows.at(0).at(8).text == "2.00");
  CHECK(table.groups.at(0).rows.at(1).at(8).text == "0.0040");
  CHECK(common_scale({0.001, 0.002, 0.5}, CostUnit::kSeconds).name == "ms");
  CHECK(common_scale({}, CostUnit::kBytes).size == 1);
}

TEST_CASE("rows say how many models' operations they take", "[reports]") {
  SweepResults results = fake::results();
  const auto evaluated = [](double flops) {
    Cost cost = fake::cost(0.1);
    cost.flops = flops;
    return std::map<std::string, Cost>{{"evaluation", cost}};
  };
  for (auto& placed : results.runs) {
    const std::string& row = placed.placement.row;
    placed.run.costs = evaluated(row == "expert e1" ? 90 : row == "expert e2" ? 110 : 100);
  }
  auto& wide = fake::add_average(results, "k-wide", {"s", "wide", "default"});
  wide.run.costs = evaluated(150);

  const Json report = Json::parse(render_report(results, ReportFormat::kJson));
  const Json& row = json_row(report, "wide (default)");
  CHECK(row["costs"]["relative"]["flops"].get<double>() == Approx(1.5));
  CHECK(row["cost_texts"]["relative"]["flops"] == "1.50 times");
  bool drawn = false;
  for (const Json& front : report.at("pareto").at("acc"))
    if (front.at("axis") == "relative_flops") {
      drawn = true;
      // Of equal quality the smaller one.
      CHECK(front.at("held_in") == Json{"average (default)"});
    }
  CHECK(drawn);

  wide.run.costs = {};
  CHECK(json_row(Json::parse(render_report(results, ReportFormat::kJson)),
                 "wide (default)")["costs"]["relative"]["flops"]
            .is_null());
}

TEST_CASE("FLOPs that nobody could count are n/a in every form", "[reports]") {
  SweepResults results = fake::results();
  results.runs[3].run.costs.at("merge").flops.reset();

  const Table costs = cost_table(make_leaderboard(results));
  size_t column = 0;
  while (costs.columns.at(column).title.rfind("FLOPs", 0) != 0) ++column;
  CHECK(costs.groups.at(0).rows.at(0).at(column).text == "n/a");
  CHECK(costs.groups.at(1).rows.at(0).at(column).text == kNotAvailable);  // the base: no cost
  CHECK(render_report(results, ReportFormat::kMarkdown).find("| n/a |") != std::string::npos);
  CHECK(render_report(results, ReportFormat::kHtml).find(">n/a</td>") != std::string::npos);
  CHECK(csv_line(render_report(results, ReportFormat::kCsv), "average").at("merge_flops").empty());
  const Json report = Json::parse(render_report(results, ReportFormat::kJson));
  CHECK(json_row(report, "average (default)")["costs"]["merge"]["flops"].is_null());
}

TEST_CASE("Memory is the row's own; that of the whole process stands beside it", "[reports]") {
  SweepResults results = fake::results();
  constexpr int64_t kMebibyte = 1 << 20;
  auto& phases = results.runs[3].run.costs;
  phases.at("statistics").peak_rss_bytes = 4500 * kMebibyte;
  phases.at("statistics").own_peak_rss_bytes = 3 * kMebibyte;
  phases.at("merge").peak_rss_bytes = 4096 * kMebibyte;
  phases.at("merge").own_peak_rss_bytes = 20 * kMebibyte;
  phases.at("evaluation").peak_rss_bytes = 4200 * kMebibyte;  // of an earlier version

  const Table costs = cost_table(make_leaderboard(results));
  const auto column = [&](const std::string& title) {
    size_t i = 0;
    while (costs.columns.at(i).title.rfind(title, 0) != 0) ++i;
    return i;
  };
  const auto& rows = costs.groups.at(0).rows;
  const size_t own = column("Own peak memory"), device = column("Own peak device memory");
  CHECK(costs.columns.at(own).title == "Own peak memory (MiB)");
  CHECK(rows.at(0).at(own).text == "20.0");  // the greatest of the phases
  CHECK(rows.at(0).at(own).note == "the whole process: 4.39 GiB");
  CHECK(rows.at(1).at(own).text == "3.00");
  CHECK(rows.at(2).at(1).text == "evaluation");
  CHECK(rows.at(2).at(own).text == "n/a");
  CHECK(rows.at(2).at(own).note == "the whole process: 4.10 GiB");
  CHECK(rows.at(0).at(device).text == kNotAvailable);  // there was none
  for (const Column& c : costs.columns) CHECK(c.title.find("process") == std::string::npos);

  const auto line = csv_line(render_report(results, ReportFormat::kCsv), "average");
  CHECK(std::stod(line.at("merge_own_peak_rss_bytes")) == 20.0 * kMebibyte);
  CHECK(std::stod(line.at("merge_peak_rss_bytes")) == 4500.0 * kMebibyte);
  CHECK(line.at("evaluation_own_peak_rss_bytes").empty());
  const Json report = Json::parse(render_report(results, ReportFormat::kJson));
  const Json& row = json_row(report, "average (default)");
  CHECK(row["costs"]["merge"]["own_peak_rss_bytes"] == 20 * kMebibyte);
  CHECK(row["costs"]["merge"]["peak_rss_bytes"] == 4500 * kMebibyte);
  CHECK(row["costs"]["evaluation"]["own_peak_rss_bytes"].is_null());
  CHECK(row["cost_texts"]["evaluation"]["own_peak_rss_bytes"] == "n/a");
  CHECK(row["cost_texts"]["merge"]["own_peak_device_bytes"] == kNotAvailable);
  CHECK(render_report(results, ReportFormat::kHtml).find("title=\"the whole process: 4.39 GiB\"") !=
        std::string::npos);
}
